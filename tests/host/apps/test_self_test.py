"""The self-test passes on a good device and reports the first fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from penstock.host.apps.self_test import selftest
from penstock.host.cli.app import run
from penstock.host.devices.csr import Csr
from penstock.host.devices.device import Buffer
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Fault
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import offset

ARCH = get_arch("tiny")


@pytest.fixture
def device() -> Iterator[RtlDevice]:
    with RtlDevice(ARCH, memory_bytes=16 << 20, watchdog=3000) as device:
        yield device


def test_a_good_device(device: RtlDevice) -> None:
    steps = list(selftest(device))
    assert all(step.passed for step in steps)
    names = [step.name for step in steps]
    assert names[:3] == ["identity", "registers", "memory"]
    assert names[3:] == [f"{name} scaled down" for name in SCALED_LAYERS]
    # All memory was freed: it is one piece again.
    device.free(device.alloc(16 << 20))


def failure(device: RtlDevice) -> tuple[str, str]:
    *good, last = selftest(device)
    assert all(step.passed for step in good)
    assert not last.passed
    assert "\n" not in last.detail
    return last.name, last.detail


def with_reads(device: RtlDevice, change: Callable[[int, int], int]) -> None:
    model = device._model
    device.csr = Csr(lambda at: change(at, model.read(at)), model.write)


def test_another_core(device: RtlDevice) -> None:
    with_reads(device, lambda at, value: 0)
    assert failure(device)[0] == "identity"


def test_a_register_bit_is_stuck(device: RtlDevice) -> None:
    with_reads(device, lambda at, value: value | 0x100 if at == offset("BASE") else value)
    assert failure(device) == (
        "registers",
        "BASE reads 0x5a5a5b5a after 0x5a5a5a5a was written",
    )


def test_reading_changes_a_register(device: RtlDevice) -> None:
    count = iter(range(1000))
    with_reads(device, lambda at, v: next(count) if at == offset("CYCLES") else v)
    name, text = failure(device)
    assert name == "registers"
    assert text.startswith("CYCLES reads 0x0, then 0x")


def test_memory_loses_a_byte(device: RtlDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    read = device.read

    def wrong(buffer: Buffer, start: int, size: int) -> np.ndarray:
        data = read(buffer, start, size)
        data[0x1234] ^= 1
        return data

    monkeypatch.setattr(device, "read", wrong)
    name, text = failure(device)
    assert name == "memory"
    assert text.startswith("1 of 1048576 bytes differ, the first at 0x1234: ")


def test_a_port_fails(device: RtlDevice) -> None:
    device.plan_fault("wgt", Fault.SLVERR, 10)
    name, text = failure(device)
    assert name == "conv1 scaled down"
    assert text.startswith("memory answered port wgt with SLVERR")


def test_a_wrong_result(device: RtlDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    run_program = device.run
    runs = iter(range(100))

    def wrong(*arguments: object, **options: object) -> object:
        log = run_program(*arguments, **options)
        if next(runs) == 3:
            device._model.memory[:] ^= 1
        return log

    monkeypatch.setattr(device, "run", wrong)
    name, text = failure(device)
    assert name == "conv2 scaled down"
    assert text.startswith("the second run: layer conv2: ")


def test_a_device_without_registers() -> None:
    with pytest.raises(ValueError, match="the device functional has no registers to test"):
        list(selftest(FunctionalDevice(ARCH)))


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["selftest", "--device", "rtl", "--arch", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "all is well"
    assert all(line.startswith("ok ") for line in lines[:-1])


def test_command_verifies_uploads(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["selftest", "--device", "rtl", "--arch", "tiny", "--verify"]) == 0
    last = capsys.readouterr().out.splitlines()[-2]
    assert re.fullmatch(r"verified: (\d+) of \1 bytes uploaded were read back, all equal", last)


def test_command_says_what_to_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.host.apps.self_test._SCRATCH", ("ID",))
    assert run(["selftest", "--device", "rtl", "--arch", "tiny"]) == 1
    text = capsys.readouterr().out
    assert "FAILED  registers" in text
    for word in ("To report this", "step ", "device ", "Python ", "numpy ", "STATUS="):
        assert word in text
    assert run(["selftest", "--device", "functional"]) == 2
