"""`penstock describe`: writes the description that the host needs for another tool's bitstream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.host.devices.pynq.overlay_loader import read_pair
from penstock.models.spec.arch import get_arch
from penstock.models.zynq.bitfile import BitFile, write_bit

BIT = BitFile(design="penstock_vivado", part="7z020clg400", payload=bytes(64))


def test_the_host_takes_the_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "penstock_vivado.bit"
    path.write_bytes(write_bit(BIT))
    assert app.run(["describe", str(path), "--mhz", "130"]) == 0
    assert "to be run at 125.00 MHz" in capsys.readouterr().out
    handoff = read_pair(path, get_arch("pynq-z2"))
    assert handoff.fclk_mhz == 125
    assert handoff.payload_sha256 == BIT.sha256


@pytest.mark.parametrize(
    ("data", "mhz", "message"),
    [
        (b"PK", "100", "no bitstream header: not a .bit file"),
        (write_bit(replace(BIT, part="7z010clg400")), "100", "is for 7z010clg400, the boards have"),
        (write_bit(BIT), "0", "mhz must be at least 0.25, not 0.0"),
    ],
)
def test_what_cannot_be_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, mhz: str, message: str
) -> None:
    path = tmp_path / "x.bit"
    path.write_bytes(data)
    assert app.run(["describe", str(path), "--mhz", mhz]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not path.with_suffix(".hwh").exists()
