# amaranth: UnusedElaboratable=no
"""Netlists for ECP5 and Gowin: blocks synthesised by Yosys behave like the blocks."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.lib import wiring

from penstock.hw.array.systolic import SystolicArray
from penstock.hw.flow.programs import find
from penstock.hw.flow.synthesis import ANY_ON_COLLISION
from penstock.hw.lib.buffer import Buffer
from penstock.sim.bench import runner
from penstock.sim.netlist.cells import Cells
from penstock.sim.netlist.cells_ecp5 import Ecp5Cells
from penstock.sim.netlist.cells_gowin import GowinCells
from penstock.sim.netlist.netlist import Netlist

FAMILIES: dict[str, tuple[str, Cells]] = {
    "ecp5": ("synth_ecp5 -abc9", Ecp5Cells()),
    "gowin": ("synth_gowin -family gw2a -noiopads", GowinCells()),
}
MULTIPLIERS = {"ecp5": "MULT18X18D", "gowin": "MULT9X9"}
SCRIPT = (
    f"read_rtlil top.il; {ANY_ON_COLLISION}; {{command}} -top top; "
    "delete t:$scopeinfo; write_json top.json"
)


def synthesise(component: wiring.Component, family: str) -> dict[str, Any]:
    """The netlist as Yosys' JSON."""
    command, _ = FAMILIES[family]
    with TemporaryDirectory(prefix="penstock-test-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
        yosys = find("yosys")
        assert yosys is not None
        subprocess.run([yosys, "-q", "-p", SCRIPT.format(command=command)], cwd=folder, check=True)
        result: dict[str, Any] = json.loads((folder / "top.json").read_text())
        return result


@cache
def array(family: str) -> dict[str, Any]:
    return synthesise(SystolicArray(rows=4, cols=2), family)


def read(values: dict[str, Any], family: str, folder: Path) -> Netlist:
    path = folder / "netlist.json"
    path.write_text(json.dumps(values))
    return Netlist(path, family=FAMILIES[family][1])


def simulate_array(netlist: Netlist) -> None:
    runner.run(
        netlist.verilog(),
        "penstock.sim.bench.array",
        simulator="verilator",
        parameters={"rows": 4, "cols": 2, "blocks": 12, "packed": False},
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_array(family: str, tmp_path: Path) -> None:
    netlist = read(array(family), family, tmp_path)
    assert netlist.cells[MULTIPLIERS[family]] == 8
    simulate_array(netlist)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_broken_multiply_is_found(family: str, tmp_path: Path) -> None:
    """The lowest bit of one multiplier's weight is tied low, and nothing else."""
    values = json.loads(json.dumps(array(family)))
    multiplier = next(
        cell
        for cell in values["modules"]["top"]["cells"].values()
        if cell["type"] == MULTIPLIERS[family]
    )
    pin = "B0" if family == "ecp5" else "B"
    assert isinstance(multiplier["connections"][pin][0], int)
    multiplier["connections"][pin][0] = "0"
    with pytest.raises(runner.BenchError, match="not"):
        simulate_array(read(values, family, tmp_path))


@cache
def buffer(family: str) -> dict[str, Any]:
    return synthesise(Buffer(depth=1024, width=16, granularity=8), family)


def simulate_buffer(netlist: Netlist, *, collisions: bool) -> None:
    runner.run(
        netlist.verilog(),
        "penstock.sim.bench.buffer",
        simulator="verilator",
        parameters={
            "depth": 1024,
            "width": 16,
            "granularity": 8,
            "cycles": 1500,
            "collisions": collisions,
        },
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_block_ram(family: str, tmp_path: Path) -> None:
    """The memory, its output register and the register of its enable: no comparator."""
    netlist = read(buffer(family), family, tmp_path)
    assert sum(count for kind, count in netlist.cells.items() if "LUT" in kind) <= 4
    assert sum(count for kind, count in netlist.cells.items() if "FF" in kind) == 17
    simulate_buffer(netlist, collisions=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_read_that_meets_a_write_is_wrong(family: str, tmp_path: Path) -> None:
    """A design that needs such a read fails in the simulation of the netlist."""
    with pytest.raises(runner.BenchError, match="not"):
        simulate_buffer(read(buffer(family), family, tmp_path), collisions=True)
