"""The flow's files for a PYNQ board are a pair that the host accepts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from penstock.host.devices.pynq.overlay_loader import read_pair
from penstock.hw.flow.errors import BuildError
from penstock.models.spec.arch import get_arch
from penstock.models.zynq.bitfile import read_bit
from penstock.models.zynq.hwh import CSR_BASE
from tests.support.flow_pack import BOARD, PAYLOAD, PackChain, pack

ARCH = get_arch("pynq-z2")


@pytest.mark.parametrize("fmax", [131.0, 150.0, 163.9, 225.0])
def test_the_host_takes_the_pair(tmp_path: Path, fmax: float) -> None:
    clock = PackChain(BOARD).clock(fmax)
    path = pack(tmp_path, ARCH, clock_mhz=clock)
    handoff = read_pair(path, ARCH)
    assert (handoff.arch, handoff.fingerprint) == (ARCH.name, ARCH.fingerprint)
    assert (handoff.base, handoff.part) == (CSR_BASE, "xc7z020clg400-1")
    assert handoff.fclk_mhz == clock
    assert handoff.payload_sha256 == hashlib.sha256(PAYLOAD).hexdigest()


def test_the_programs_header_is_not_kept(tmp_path: Path) -> None:
    bit = read_bit(pack(tmp_path, ARCH, clock_mhz=100.0).read_bytes())
    assert bit.design == "penstock;Arch=pynq-z2"
    assert (bit.part, bit.date, bit.time) == ("7z020clg400", "2000/01/01", "00:00:00")
    assert bit.payload == PAYLOAD
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "netlist.json",
        "penstock.bit",
        "penstock.fasm",
        "penstock.hwh",
        "seed1.fasm",
    ]


def test_a_program_that_wrote_something_else(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"xc7frames2bit wrote no bitstream: no bitstream header"):
        pack(tmp_path, ARCH, clock_mhz=100.0, raw=b"frames")
    assert not (tmp_path / "penstock.bit").exists()
