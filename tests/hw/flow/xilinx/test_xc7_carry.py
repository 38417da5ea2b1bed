"""`hw.flow.xilinx.xc7_carry`: carry chains do not share their look-up tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.hw.flow.xilinx.xc7_carry import copy_shared_luts

# Nets: the operands, three look-up tables' outputs, the rest.
A, B, ALONE, SHARED, TWICE, REST = 2, 3, 4, 5, 6, 7


def _lut(output: int) -> dict[str, Any]:
    return {
        "type": "LUT2",
        "parameters": {"INIT": "0110"},
        "port_directions": {"I0": "input", "I1": "input", "O": "output"},
        "connections": {"I0": [A], "I1": [B], "O": [output]},
    }


def _carry(outputs: int, s: list[Any]) -> dict[str, Any]:
    return {
        "type": "CARRY4",
        "port_directions": {"S": "input", "DI": "input", "O": "output"},
        "connections": {"S": s, "DI": [A] * 4, "O": list(range(outputs, outputs + 4))},
    }


def _netlist(folder: Path) -> Path:
    cells = {
        "alone": _lut(ALONE),
        "shared": _lut(SHARED),
        "twice": _lut(TWICE),
        "first": _carry(REST, [SHARED, ALONE, TWICE, "0"]),
        "second": _carry(REST + 4, [A, TWICE, "1", "0"]),
        "register": {
            "type": "FDRE",
            "port_directions": {"D": "input", "Q": "output"},
            "connections": {"D": [SHARED], "Q": [REST + 8]},
        },
    }
    names = {"all": {"bits": ["x", *range(A, REST + 9)]}}
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": {"penstock": {"cells": cells, "netnames": names}}}))
    return path


def test_copies(tmp_path: Path) -> None:
    path = _netlist(tmp_path)
    assert copy_shared_luts(path) == 2, "one of the shared one, one of that of two chains"
    (top,) = json.loads(path.read_text())["modules"].values()
    cells = top["cells"]
    source = {
        bit: name
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    beside = [
        source[bit]
        for chain in ("first", "second")
        for bit in cells[chain]["connections"]["S"]
        if isinstance(bit, int) and bit != A
    ]
    assert len(set(beside)) == 4, "none has two places"
    for name in beside:
        assert {**cells[name]["connections"], "O": None} == {"I0": [A], "I1": [B], "O": None}
        assert cells[name]["parameters"] == {"INIT": "0110"}
    assert source[cells["register"]["connections"]["D"][0]] == "shared"
    assert cells["second"]["connections"]["S"][0] == A, "a net without a look-up table stays"
    assert cells["second"]["connections"]["S"][2:] == ["1", "0"]
    named = {bit for net in top["netnames"].values() for bit in net["bits"]}
    assert set(source) <= named


def test_nothing_to_copy(tmp_path: Path) -> None:
    path = _netlist(tmp_path)
    copy_shared_luts(path)
    before = path.read_text()
    assert copy_shared_luts(path) == 0
    assert path.read_text() == before
