"""Loading an overlay with pynq: every failure gives one line with the remedy."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.host.devices.device import DeviceError
from penstock.host.devices.pynq import simulated_board
from penstock.host.devices.pynq.pynq_sim import PynqSimDevice, write_pair
from penstock.host.devices.pynq.simulated_board import SimulatedBoard
from penstock.host.devices.rtl_model import ModelError
from penstock.models.spec.arch import get_arch
from penstock.models.zynq.hwh import CSR_BASE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ARCH = get_arch("tiny")


def refused(message: str, **options: Any) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        PynqSimDevice(ARCH, **options)
    assert "\n" not in str(caught.value)


def test_a_bitstream_the_fabric_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    download = SimulatedBoard.download

    def fail(self: SimulatedBoard, *arguments: Any) -> None:
        download(self, *arguments)
        (self.system.fpga_manager / "state").write_text("write complete error\n")

    monkeypatch.setattr(SimulatedBoard, "download", fail)
    refused("the bitstream was not taken: .* says 'write complete error', not 'operating'")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.EROFS, "Read-only file system", "/lib/firmware/penstock.bin"),
            "/lib/firmware/penstock.bin: Read-only file system .* mounted read-only",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/lib/firmware/penstock.bin"),
            "/lib/firmware/penstock.bin: Permission denied .* are you not root",
        ),
        (OSError("Root permissions required."), "Root permissions required"),
        (RuntimeError("No Devices Found"), "No Devices Found: .* login shell .*XILINX_XRT"),
        (
            RuntimeError("xclbinutil failed:\n no"),
            r"pynq cannot load .*\.bit: xclbinutil failed: no",
        ),
        (ModuleNotFoundError("No module", name="pyxrt"), "cannot import pyxrt: use a login shell"),
    ],
)
def test_what_pynq_raises(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(SimulatedBoard, "download", fail)
    refused(message)


def test_a_description_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # pynq's cache: the same bitstream, described when a register had another address.
    older = tmp_path / "older"
    older.mkdir()
    kept = write_pair(older, ARCH)
    text = kept.with_suffix(".hwh").read_text().replace('VALUE="0x34"', 'VALUE="0x74"')
    kept.with_suffix(".hwh").write_text(text)
    parse = SimulatedBoard.get_bitfile_metadata
    monkeypatch.setattr(
        SimulatedBoard,
        "get_bitfile_metadata",
        lambda self, name, partial=False: parse(self, str(kept)),
    )
    refused(r"pynq uses another description than .*\.hwh: .* delete _current_metadata\.pkl")


def test_the_clock_follows_the_pll(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynq

    # An IO PLL at 1200 MHz: the description's divisors give 120 MHz instead of 100.
    monkeypatch.setitem(simulated_board._BOOT, 0x108, 24 << 12)
    with PynqSimDevice(ARCH) as device:
        assert pynq.Clocks.fclk0_mhz == pytest.approx(device.handoff.fclk_mhz)


def test_a_clock_that_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    write = SimulatedBoard._write_word

    def ignore(self: SimulatedBoard, address: int, value: int) -> None:
        if address != 0xF800_0170:
            write(self, address, value)

    monkeypatch.setattr(SimulatedBoard, "_write_word", ignore)
    monkeypatch.setitem(simulated_board._BOOT, 0x170, 5 << 8 | 1 << 20)
    refused("FCLK0 runs at 200 MHz, the bitstream is for 100 MHz")


def reading(value: Callable[[int], int]) -> Callable[[SimulatedBoard, int], int]:
    read = SimulatedBoard._read_word

    def patched(self: SimulatedBoard, address: int) -> int:
        return value(address - CSR_BASE) if address >> 16 == CSR_BASE >> 16 else read(self, address)

    return patched


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda _: 0, "the core at 0x40000000 has ID 00000000 version 0, not 4b545350 version 1"),
        (lambda _: 0xFFFFFFFF, "has ID ffffffff version 4294967295"),
        (lambda at: {0: 0x4B545350, 4: 1}.get(at, 7), "is of arch 0000000700000007, not of tiny"),
    ],
)
def test_something_else_answers(
    monkeypatch: pytest.MonkeyPatch, value: Callable[[int], int], message: str
) -> None:
    monkeypatch.setattr(SimulatedBoard, "_read_word", reading(value))
    refused(message)


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a board would freeze, the simulated one fails after a thousand cycles.
    def silent(self: Any, register: object) -> int:
        raise ModelError(f"register {register}: no answer to a read")

    monkeypatch.setattr("penstock.host.devices.rtl_model.Model.read", silent)
    refused("the core at 0x40000000 does not answer: bus error: .* no answer to a read")


def test_registers_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    # The identity is checked first, after the clock is set.
    seen: list[int] = []
    read, write = SimulatedBoard._read_word, SimulatedBoard._write_word
    monkeypatch.setattr(
        SimulatedBoard, "_read_word", lambda self, a: seen.append(a) or read(self, a)
    )
    monkeypatch.setattr(
        SimulatedBoard, "_write_word", lambda self, a, v: seen.append(a) or write(self, a, v)
    )
    PynqSimDevice(ARCH).close()
    core = [address - CSR_BASE for address in seen if address >> 16 == CSR_BASE >> 16]
    assert core[:4] == [0x00, 0x04, 0x08, 0x0C]
    assert not any(address >= 0xF800_0000 for address in seen[seen.index(CSR_BASE) :])


def test_no_contiguous_memory() -> None:
    with PynqSimDevice(ARCH) as device:
        with pytest.raises(DeviceError) as caught:
            device.alloc(200 << 20)
        text = str(caught.value)
        assert text.startswith("no 209715200 bytes of contiguous memory (CmaFree 131072 kB, CmaT")
        assert "close other notebooks" in text
        assert not device.board.pieces
        device.alloc(4096)


def test_failure_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[SimulatedBoard] = []
    close = SimulatedBoard.close
    monkeypatch.setattr(SimulatedBoard, "close", lambda self: closed.append(self) or close(self))
    monkeypatch.setattr(SimulatedBoard, "_read_word", reading(lambda _: 0))
    refused("has ID 00000000")
    assert len(closed) == 1
    assert not closed[0]._clock.is_alive()
