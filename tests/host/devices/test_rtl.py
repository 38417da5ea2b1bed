"""The rtl device: the same bytes as the golden model, errors, recovery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, DeviceError
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Fault, ModelError, Profile
from penstock.host.program.program import Program
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES
from penstock.models.spec.regs import ERROR_SOURCES, LOG_FIELDS
from tests.support.device_memory import check_memory
from tests.support.infer import check_maps, infer, load, write_images
from tests.support.netgen import random_codes
from tests.support.small_network import small_network

ARCH = get_arch("tiny")


NETWORK = small_network()


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(NETWORK, ARCH)


@pytest.fixture(scope="module")
def shared() -> Iterator[RtlDevice]:
    with RtlDevice(ARCH, memory_bytes=16 << 20, watchdog=3000) as device:
        yield device


@pytest.fixture
def device(shared: RtlDevice) -> Iterator[RtlDevice]:
    """The device, with all memory free again after the test."""
    taken: list[Buffer] = []
    alloc = shared.alloc
    shared.alloc = lambda size: taken.append(alloc(size)) or taken[-1]
    yield shared
    shared.alloc = alloc
    for buffer in taken:
        shared.free(buffer)


def codes(seed: int) -> NDArray[np.uint8]:
    return random_codes(NETWORK, seed)


def check(device: RtlDevice, program: Program, buffer: Buffer, seed: int) -> None:
    check_maps(infer(device, program, buffer, codes(seed)), NETWORK, codes(seed))


def test_second_run_equals_the_first(program: Program, device: RtlDevice) -> None:
    buffer = load(device, program)
    logs = []
    for seed in (1, 2, 1):
        check(device, program, buffer, seed)
        logs.append(device.counters())
    # The memory's random timing restarts with each run.
    assert logs[0] == logs[1] == logs[2]


def test_nothing_around_the_arena_is_touched(program: Program, device: RtlDevice) -> None:
    before = device.alloc(4096)
    buffer = load(device, program)
    after = device.alloc(4096)
    for guard in (before, after):
        device.write(guard, np.full(4096, 0xC3, np.uint8))
    check(device, program, buffer, 3)
    for guard in (before, after):
        assert (device.read(guard, 0, 4096) == 0xC3).all()
    # Between the end of the arena and the next page, too.
    assert buffer.offset + buffer.size <= after.offset


def test_log(program: Program, device: RtlDevice) -> None:
    buffer = load(device, program)
    write_images(device, program, buffer, [codes(1)])
    log = device.run(program, buffer)
    assert len(log.entries) == len(program.layers)
    assert log.totals == device.counters()
    names = [name for name, _ in LOG_FIELDS]
    for entry, later in zip(log.entries, [*log.entries[1:], log.totals]):
        assert list(entry) == names
        assert all(entry[name] <= later[name] for name in names)
        parts = ("busy", "stall_input", "stall_weights", "stall_output")
        assert sum(entry[name] for name in parts) <= entry["cycles"]
        assert entry["stall_memory"] <= entry["stall_input"] + entry["stall_weights"]
    assert log.totals["busy"] > 0
    assert log.totals["write_beats"] > 0
    assert 0 < log.totals["read_beats"] <= log.totals["cycles"]
    assert log.seconds > 0


@pytest.mark.parametrize("latency", [1, 200])
def test_memory_profile_changes_time_and_nothing_else(program: Program, latency: int) -> None:
    profile = Profile(latency=latency, stall_per_mille=300, seed=latency)
    with open_device("rtl", ARCH, memory_bytes=16 << 20, profile=profile) as device:
        buffer = load(device, program)
        check_maps(infer(device, program, buffer, codes(1)), NETWORK, codes(1))


def test_waves(program: Program, device: RtlDevice, tmp_path: Path) -> None:
    # The library with waves also checks that no output depends on an input of the same cycle.
    path = tmp_path / "waves.fst"
    with RtlDevice(ARCH, memory_bytes=16 << 20, waves=path) as traced:
        check(traced, program, load(traced, program), 1)
        counters = traced.counters()
    assert path.stat().st_size > 10_000
    check(device, program, load(device, program), 1)
    assert device.counters() == counters


def test_waves_nobody_can_write(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"cannot write waves to .*/none/waves\.fst: No such file"
    ):
        RtlDevice(ARCH, memory_bytes=1 << 20, waves=tmp_path / "none" / "waves.fst")


def reached(port: str) -> int:
    """A beat that the port certainly reaches."""
    return {"desc": 20, "wgt": 30, "act": 30, "out": 10}[port]


@pytest.mark.parametrize("port", ERROR_SOURCES)
@pytest.mark.parametrize("kind", [Fault.SLVERR, Fault.DECERR])
def test_error_response(program: Program, device: RtlDevice, port: str, kind: Fault) -> None:
    buffer = load(device, program)
    device.plan_fault(port, kind, reached(port))
    with pytest.raises(DeviceError, match=f"port {port} with {kind.name}: beats received: "):
        infer(device, program, buffer, codes(1))
    check(device, program, buffer, 2)


@pytest.mark.parametrize("port", ERROR_SOURCES)
def test_hang(program: Program, device: RtlDevice, port: str) -> None:
    buffer = load(device, program)
    device.plan_fault(port, Fault.HANG, reached(port))
    with pytest.raises(DeviceError) as caught:
        infer(device, program, buffer, codes(1))
    text = str(caught.value)
    assert text.startswith("no progress for 3000 cycles: beats received: ")
    counts = re.search(rf"{port} (\d+) of (\d+)", text)
    assert counts is not None
    received, expected = map(int, counts.groups())
    assert received < expected
    assert "\n" not in text
    check(device, program, buffer, 2)


def test_unknown_opcode(program: Program, device: RtlDevice) -> None:
    buffer = load(device, program)
    where = program.desc_offset + 2 * DESCRIPTOR_BYTES
    device.write(buffer, b"\xee", where)
    message = (
        r"descriptor 2 is damaged or for no engine: beats .*; descriptors fetched: 3 of \d+; .*; "
        r"1 of 64 bytes differ in memory, the first at 0: 0xee instead of 0x0.$"
    )
    with pytest.raises(DeviceError, match=message):
        infer(device, program, buffer, codes(1))
    device.write(buffer, program.image)
    check(device, program, buffer, 1)


def test_program_outside_the_memory(program: Program, device: RtlDevice) -> None:
    outside = Buffer(16 << 20, program.arena_bytes)
    with pytest.raises(DeviceError, match="port desc with DECERR"):
        device.run(program, outside)


def test_timeout(program: Program, device: RtlDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = load(device, program)
    # The watchdog is off, so only the wall-clock time limit ends the run.
    with monkeypatch.context() as patch:
        patch.setattr(device, "watchdog", 0)
        device.plan_fault("desc", Fault.HANG, 8)
        with pytest.raises(DeviceError, match=r"no end after 0 s: beats received: .* of "):
            device.run(program, buffer, timeout=0)
    check(device, program, buffer, 1)


def test_interrupted_run(
    program: Program, device: RtlDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = load(device, program)

    def interrupt(cycles: int) -> int:
        monkeypatch.undo()
        device._model.run(100)
        raise KeyboardInterrupt

    monkeypatch.setattr(device._model, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        device.run(program, buffer)
    check(device, program, buffer, 1)


def test_a_run_that_nobody_waited_for(program: Program, device: RtlDevice) -> None:
    buffer, other = load(device, program), load(device, program)
    device.start(program, other)
    device.model.run(500)
    check(device, program, buffer, 1)


def test_other_arch_is_refused(device: RtlDevice) -> None:
    other = compile_network(NETWORK, get_arch("4x8"))
    buffer = device.alloc(other.arena_bytes)
    with pytest.raises(DeviceError, match=r"for arch 4x8 .* the device is tiny \(4x4"):
        device.run(other, buffer)


def test_library_of_another_arch_is_refused() -> None:
    from penstock.sim.library.build import library

    with pytest.raises(DeviceError, match="the simulation is of arch"):
        RtlDevice(get_arch("4x8"), library=library(ARCH), memory_bytes=1 << 20)


def test_memory(device: RtlDevice) -> None:
    check_memory(device)
    with pytest.raises(DeviceError, match="no 1073741824 bytes of device memory"):
        device.alloc(1 << 30)


def test_closed() -> None:
    device = RtlDevice(ARCH, memory_bytes=1 << 20)
    buffer = device.alloc(10)
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="the device is closed"):
        device.read(buffer, 0, 1)
    with pytest.raises(ModelError, match="the model is closed"):
        device._model.read("ID")


def test_not_a_library(tmp_path: Path) -> None:
    path = tmp_path / "accel.so"
    path.write_text("nothing")
    with pytest.raises(DeviceError, match="cannot open the simulation"):
        RtlDevice(ARCH, library=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watchdog": -1}, "watchdog must be from 0 to 4294967295, not -1"),
        ({"memory_bytes": 1000}, "memory_bytes must be a multiple of 4096"),
    ],
)
def test_wrong_parameters(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_device("rtl", ARCH, **options)
