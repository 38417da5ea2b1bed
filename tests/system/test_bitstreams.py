"""Real bitstreams, from the board's name to the file to load: few, as each takes minutes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.host.cli import app
from penstock.hw.flow.gowin import nextpnr_gowin
from penstock.hw.flow.process import Cost
from penstock.hw.flow.toolchain import Job
from penstock.hw.flow.xilinx.openxc7_tools import Tools
from tests.support.board_example import write_example

# A weight of the array: the one whose products are the first in every sum.
WEIGHT = ".conv.array.pe_0_0.weight"


def build(board: str, out: Path, *arguments: str) -> int:
    """Run the command, with one seed; return its exit status."""
    return app.run(
        ["bitstream", "--board", board, *arguments, "--seeds", "1", "--out", str(out)],
    )


def check_folder(out: Path, file: str, resource: str) -> None:
    """Whether a folder has a bitstream and a report of the checks."""
    assert (out / file).stat().st_size > 100_000
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["state"] == "done"
    assert file in manifest["files"]
    assert None not in manifest["tools"].values()
    report = json.loads((out / "report.json").read_text())
    assert report["timing_met"]
    assert report["resources"][resource]["used"] > 0
    assert report["critical_path"]
    assert "no difference from the golden model" in report["checks"][0]
    assert "was read back" in report["checks"][1]


def break_a_multiply(netlist: dict[str, Any]) -> None:
    """Tie one bit of one weight low where it goes into its multiplier, and nowhere else."""
    (top,) = (m for m in netlist["modules"].values() if "top" in m["attributes"])
    (weight,) = (net for name, net in top["netnames"].items() if name.endswith(WEIGHT))
    bit = weight["bits"][0]
    pins = [
        (cell["connections"], pin)
        for cell in top["cells"].values()
        if cell["type"].startswith("MULT")
        for pin, bits in cell["connections"].items()
        if bit in bits
    ]
    (connections, pin), *more = pins
    assert not more, "one multiplier has the weight"
    connections[pin] = ["0" if b == bit else b for b in connections[pin]]


def test_tang_nano(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small board; with one bit of one multiplication wrong, no bitstream is written."""
    out = tmp_path / "out"
    status = build("tang-nano-20k", out)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    check_folder(out, "penstock.fs", "BSRAM")
    assert "estimate, not measured" in printed.out

    netlist = json.loads((out / "netlist.json").read_text())
    break_a_multiply(netlist)

    def synthesise(self: Any, job: Job) -> Cost:
        job.netlist.write_text(json.dumps(netlist))
        job.netlist_verilog.write_bytes((out / "netlist.v").read_bytes())
        return Cost(0.0, 0.0)

    monkeypatch.setattr(nextpnr_gowin.Gowin, "synthesise", synthesise)
    broken = tmp_path / "broken"
    assert build("tang-nano-20k", broken) == 1
    assert "instead of" in capsys.readouterr().err
    assert not broken.exists()


def test_a_small_core_on_ecp5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4x4 cells, with the SDRAM and the link of the ULX3S."""
    out = tmp_path / "out"
    status = build("ulx3s-85f", out, "--arch", "tiny")
    assert status == 0, capsys.readouterr().err
    check_folder(out, "penstock.bit", "DP16KD")


def test_without_openxc7(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All missing tools are reported before any work."""
    monkeypatch.setattr(Tools, "program", lambda self, name: None)
    for board, family in (("pynq-z2", "zynq7"), ("arty-a7-100t", "artix7")):
        assert build(board, tmp_path / "out") == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"penstock: missing for the bitstream of {board}:"
        names = "nextpnr-xilinx, fasm2frames, xc7frames2bit, bitread"
        assert lines[1].startswith(f"  1. {names}: install openXC7")
        assert any(line.startswith(f"  3. prjxray-db {family}: ") for line in lines)
        assert (
            lines[-1] == "penstock: nothing was made; --netlist-only stops before place and route"
        )
        assert not (tmp_path / "out").exists()


def test_a_small_core_on_artix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4x4 cells with block RAM and the serial link: a chip of the 7 series without a processor."""
    out = tmp_path / "out"
    status = build("arty-a7-100t", out, "--arch", "tiny", "--netlist-only")
    assert status == 0, capsys.readouterr().err
    report = json.loads((out / "report.json").read_text())
    assert report["checks"][0].startswith("The netlist of the whole FPGA, pins outward, ran conv5")
    assert "no difference from the golden model" in report["checks"][0]
    assert report["resources"]["DSP"]["used"] >= 8
    script = (out / "vivado.tcl").read_text()
    assert "read_xdc $here/penstock.xdc" in script and "FCLKCLK" not in script
    assert "get_ports clk100" in (out / "penstock.xdc").read_text()


def test_the_board_of_the_guide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board in one file outside the project: docs/adding_a_board.md, as it stands."""
    out = tmp_path / "out"
    path = write_example(tmp_path)
    status = build(str(path), out, "--netlist-only")
    assert status == 0, capsys.readouterr().err
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["board"], manifest["state"]) == ("my-board", "netlist")
    report = json.loads((out / "report.json").read_text())
    assert "no difference from the golden model" in report["checks"][0]
    for resource in report["resources"].values():
        assert 0 < resource["used"] <= resource["total"]


def test_a_small_core_on_zynq(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4x4 cells behind the processor system's ports."""
    out = tmp_path / "out"
    status = build("pynq-z2", out, "--arch", "tiny", "--netlist-only")
    assert status == 0, capsys.readouterr().err
    assert json.loads((out / "manifest.json").read_text())["state"] == "netlist"
    report = json.loads((out / "report.json").read_text())
    assert "5 small layers, 10 feature maps" in report["checks"][0]
    assert "no difference from the golden model" in report["checks"][0]
    # Two columns of an array share a DSP; the requantise and LRN lanes have some as well.
    assert report["resources"]["DSP"]["used"] >= 8
    assert "FCLKCLK" in (out / "vivado.tcl").read_text()
