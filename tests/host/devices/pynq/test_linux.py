"""Requirements on a board's Linux and on the pair of files: each violation has its message.

None of this needs pynq.
"""

from __future__ import annotations

import os
import sys
import tty
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.devices.device import DeviceError
from penstock.host.devices.pynq.linux import Interrupt, System
from penstock.host.devices.pynq.overlay_loader import read_pair
from penstock.host.devices.pynq.pynq_sim import write_pair
from penstock.models.spec.arch import get_arch
from penstock.models.zynq.bitfile import read_bit, write_bit

ARCH = get_arch("tiny")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """A board without faults."""
    system = System(root=tmp_path)
    system.fpga_manager.mkdir(parents=True)
    (system.fpga_manager / "state").write_text("operating\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XILINX_XRT", "/usr")
    monkeypatch.setenv("BOARD", "Pynq-Z2")
    return system


def test_all_is_well(system: System) -> None:
    system.check()
    system.check_loaded()


def test_no_board(tmp_path: Path) -> None:
    message = r"No Devices Found: .*/fpga0 does not exist, .*--device pynq-sim simulates one"
    with pytest.raises(DeviceError, match=message):
        System(root=tmp_path).check()


def test_no_root(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DeviceError, match="need root: run `sudo -i` first"):
        system.check()


def test_no_xrt(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XILINX_XRT")
    with pytest.raises(DeviceError, match=r"XILINX_XRT is not set, .*xrt_setup\.sh"):
        system.check()


def test_another_board(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARD", "Ultra96")
    with pytest.raises(DeviceError, match="BOARD must be one of Pynq-Z1, Pynq-Z2, not 'Ultra96'"):
        system.check()


def test_read_only_folder(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DeviceError, match=f"the working folder {Path.cwd()} cannot be written to"):
        system.check()


@pytest.mark.parametrize("state", ["unknown", "write error", ""])
def test_bitstream_not_taken(system: System, state: str) -> None:
    (system.fpga_manager / "state").write_text(state + "\n")
    with pytest.raises(DeviceError, match=f"not taken: .*/state says '{state}', not 'operating'"):
        system.check_loaded()


def test_no_state(system: System) -> None:
    (system.fpga_manager / "state").unlink()
    with pytest.raises(DeviceError, match="fpga0/state: No such file"):
        system.check_loaded()


def test_contiguous_memory(system: System) -> None:
    assert system.contiguous_memory() == "no CMA figures"
    (system.root / "proc").mkdir()
    (system.root / "proc/meminfo").write_text("MemFree: 5 kB\nCmaTotal:  9 kB\nCmaFree:  7 kB\n")
    assert system.contiguous_memory() == "CmaFree 7 kB, CmaTotal 9 kB"
    (system.root / "proc/meminfo").write_text("MemFree: 5 kB\n")
    assert system.contiguous_memory() == "no CMA figures"


def test_interrupt(system: System) -> None:
    assert system.interrupt() is None
    far, near = os.openpty()
    tty.setraw(near)
    for name, text in (("uio0", "other"), ("uio1", "fabric")):
        folder = system.root / "sys/class/uio" / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(text + "\n")
    # In use by another program: polling is used instead.
    assert system.interrupt() is None
    (system.root / "dev").mkdir()
    (system.root / "dev/uio1").symlink_to(os.ttyname(near))
    interrupt = system.interrupt()
    assert isinstance(interrupt, Interrupt)
    assert not interrupt.wait(0)
    os.write(far, b"\1\0\0\0")
    assert interrupt.wait(10)
    # An earlier interrupt does not end the wait.
    os.write(far, b"\2\0\0\0")
    interrupt.enable()
    assert os.read(far, 8) == b"\1\0\0\0"
    assert not interrupt.wait(0)
    interrupt.close()
    interrupt.close()
    os.close(far)
    os.close(near)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return write_pair(tmp_path, ARCH)


def test_pair(pair: Path) -> None:
    handoff = read_pair(pair, ARCH)
    assert (handoff.arch, handoff.fingerprint) == ("tiny", ARCH.fingerprint)


def test_no_overlay(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"no overlay: .*x\.bit: No such file.*penstock bitstream"
    ):
        read_pair(tmp_path / "x.bit", ARCH)


def test_overlay_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_OVERLAY", str(tmp_path / "mine.bit"))
    with pytest.raises(DeviceError, match=r"no overlay: .*/mine\.bit: No such file"):
        open_device("pynq", ARCH)


def change(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("suffix", "edit", "message"),
    [
        (".bit", lambda data: data[:-4], r"penstock\.bit: the header says .* was cut short"),
        (
            ".bit",
            lambda data: b"PK" + data,
            r"penstock\.bit: no bitstream header: not a \.bit file",
        ),
        (
            ".bit",
            change(b"7z020", b"7z010"),
            "the bitstream is for 7z010clg400, the boards have 7z",
        ),
        (
            ".bit",
            change(b'"rows": 4', b'"rows": 8'),
            r"\.hwh describes another bitstream than pens",
        ),
        (".hwh", change(b"/penstock", b"/pumpe"), r"penstock\.hwh: the design has no penstock"),
        (".hwh", lambda data: data[:500], r"penstock\.hwh: not a hardware handoff"),
        (".hwh", lambda data: b"\xff\xfe", r"penstock\.hwh: is not text: copy the \.hwh beside"),
    ],
)
def test_damaged_pair(
    pair: Path, suffix: str, edit: Callable[[bytes], bytes], message: str
) -> None:
    path = pair.with_suffix(suffix)
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(DeviceError, match=message):
        read_pair(pair, ARCH)


def test_no_description(pair: Path) -> None:
    pair.with_suffix(".hwh").unlink()
    with pytest.raises(
        DeviceError, match=r"\.hwh: No such file or directory: copy the \.hwh besid"
    ):
        read_pair(pair, ARCH)


def test_bitstream_of_another_arch(pair: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"the bitstream is of arch tiny \(.*\), not of lab \(16x"
    ):
        read_pair(pair, get_arch("lab"))


def test_the_header_alone_may_change(pair: Path) -> None:
    bit = read_bit(pair.read_bytes())
    pair.write_bytes(write_bit(bit).replace(b"2000/", b"2024/"))
    read_pair(pair, ARCH)


def test_pynq_is_not_installed(system: System, pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    monkeypatch.delitem(sys.modules, "penstock.host.devices.pynq.simulated_board", raising=False)
    with pytest.raises(DeviceError, match=r"the package pynq is missing: .*pynq_venv\.sh"):
        open_device("pynq", ARCH, bitstream=pair, system=system)
    with pytest.raises(DeviceError, match=r"the package pynq is missing: pip install -e '.*\[pyn"):
        open_device("pynq-sim", ARCH, bitstream=pair)
