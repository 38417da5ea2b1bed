"""A finished Gowin bitstream, read back by Project Apicula, against the placed netlist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["compare", "placed", "unpacked"]

# Row and column, both from 1, and the number in the tile.
Place = tuple[int, int, int]

# Every place has a flip-flop.  An unused one is read back like the other one of its slice, with
# which it shares clock, enable and set or reset, but as one that is never set; if both are unused,
# as the type of an empty bit pattern.
_NEVER_SET = {"DFFSE": "DFFRE", "DFFPE": "DFFCE"}
_UNUSED = ("DFFE", "DFFSE")

_BEL = re.compile(r"X(\d+)Y(\d+)/DFF(\d+)$")
_PRIMITIVE = re.compile(r"(DFF\w*)\s+(?:#\s*\(.*?\)\s*)?\\?R(\d+)C(\d+)_DFFE?_(\d+)\b", re.S)


def placed(netlist: Path) -> dict[Place, str]:
    """Read the placed flip-flops from the JSON of place and route.

    Returns
    -------
    dict of Place to str
        Type of each, with a clock enable: the device's flip-flops all have one.
    """
    modules: dict[str, Any] = json.loads(netlist.read_text(encoding="utf-8"))["modules"]
    result = {}
    for module in modules.values():
        for cell in module["cells"].values():
            match = _BEL.match(cell.get("attributes", {}).get("NEXTPNR_BEL", ""))
            if match:
                column, row, index = map(int, match.groups())
                result[row + 1, column + 1, index] = cell["type"].removesuffix("E") + "E"
    return result


def unpacked(verilog: Path) -> dict[Place, str]:
    """Read the flip-flops of the Verilog that `gowin_unpack` wrote."""
    text = verilog.read_text(encoding="utf-8")
    return {
        (int(row), int(column), int(index)): kind
        for kind, row, column, index in _PRIMITIVE.findall(text)
    }


def compare(netlist: Path, verilog: Path, *, most: int = 3) -> str:
    """Compare the flip-flops, kind and place, of the netlist and of the bitstream.

    Flip-flops of the bitstream that are not in the netlist must read like unused ones.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    ValueError
        If they differ.
    """
    wanted, found = placed(netlist), unpacked(verilog)
    if not wanted:
        raise ValueError(f"{netlist.name} has no flip-flops that were placed")
    wrong = [
        f"row {place[0]} column {place[1]} number {place[2]} is "
        f"{found.get(place, 'empty')}, not {wanted.get(place, 'unused')}"
        for place in sorted(wanted.keys() | found.keys())
        if found.get(place) not in _may_be(place, wanted)
    ]
    if wrong:
        raise ValueError(f"{len(wrong)} flip-flops differ: {'; '.join(wrong[:most])}")
    return (
        f"The finished bitstream was read back: its {len(wanted)} flip-flops are of the kinds and "
        "in the places of the netlist."
    )


def _may_be(place: Place, wanted: dict[Place, str]) -> tuple[str | None, ...]:
    """Possible readings of a place; None: nothing."""
    if place in wanted:
        return (wanted[place],)
    row, column, index = place
    other = wanted.get((row, column, index ^ 1))
    if other is None:
        return (None, *_UNUSED)
    return None, _NEVER_SET.get(other, other)
