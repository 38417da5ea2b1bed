"""Buffers in Gowin netlists: no net has so many sinks that place and route is slow."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.hw.flow.gowin.fanout import FEW, MANY, limit_fanout

SOURCE = 3


def netlist(sinks: int, folder: Path) -> Path:
    """A flip-flop with so many sinks at its output; its other net has one sink."""
    cells: dict[str, Any] = {
        "source": {
            "type": "DFF",
            "port_directions": {"CLK": "input", "D": "input", "Q": "output"},
            "connections": {"CLK": [2], "D": ["0"], "Q": [SOURCE]},
        }
    }
    for k in range(sinks):
        cells[f"sink_{k}"] = {
            "type": "DFF",
            "port_directions": {"CLK": "input", "D": "input", "Q": "output"},
            "connections": {"CLK": [2], "D": [SOURCE], "Q": [4 + k]},
        }
    names = {"clk": {"bits": [2]}, "q": {"bits": ["x", *range(SOURCE, 4 + sinks)]}}
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": {"penstock": {"cells": cells, "netnames": names}}}))
    return path


def top(path: Path) -> Any:
    return json.loads(path.read_text())["modules"]["penstock"]


def source_of(cells: dict[str, Any], bit: int) -> int:
    """The net before a buffer, or the net itself."""
    before = {
        cell["connections"]["F"][0]: cell["connections"]["I0"][0]
        for cell in cells.values()
        if cell["type"] == "LUT1" and cell["parameters"]["INIT"] == "10"
    }
    return before.get(bit, bit)


@pytest.mark.parametrize("sinks", [FEW + 1, 2 * FEW - 1, 2 * FEW, MANY - 1, MANY])
def test_no_net_keeps_too_many_sinks(sinks: int, tmp_path: Path) -> None:
    path = netlist(sinks, tmp_path)
    before = top(path)["cells"]
    count = limit_fanout(path)
    after = top(path)["cells"]
    fanout = Counter(
        bit
        for cell in after.values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input" and port != "CLK"
        for bit in bits
        if isinstance(bit, int)
    )
    assert max(fanout.values()) <= FEW
    assert len(after) == len(before) + count
    # As few buffers as possible, and all sinks still get the same signal.
    assert FEW * (count - 1) + FEW - (count - 1) < sinks <= FEW * count + FEW - count
    for name in before:
        (given,) = after[name]["connections"]["D"]
        assert (source_of(after, given) if given != "0" else given) == (
            before[name]["connections"]["D"][0]
        )


def test_bits_of_a_register_share_a_buffer(tmp_path: Path) -> None:
    path = netlist(FEW + 1, tmp_path)
    assert limit_fanout(path) == 1
    cells = top(path)["cells"]
    (buffer,) = (cell for cell in cells.values() if cell["type"] == "LUT1")
    (bit,) = buffer["connections"]["F"]
    taken = [name for name, cell in cells.items() if cell["connections"].get("D") == [bit]]
    assert sorted(taken) == sorted(f"sink_{k}" for k in range(FEW))


@pytest.mark.parametrize("sinks", [1, FEW, MANY + 1])
def test_other_nets_stay(sinks: int, tmp_path: Path) -> None:
    path = netlist(sinks, tmp_path)
    before = top(path)
    assert limit_fanout(path) == 0
    assert top(path) == before


def test_the_names_of_nets_and_cells_differ(tmp_path: Path) -> None:
    """Yosys reads no netlist in which they do not."""
    path = netlist(MANY, tmp_path)
    assert limit_fanout(path) > 1
    values = top(path)
    assert not values["cells"].keys() & values["netnames"].keys()
    bits = [bit for net in values["netnames"].values() for bit in net["bits"]]
    assert len(set(bits)) == len(bits)
