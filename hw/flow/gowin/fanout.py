"""Buffers for Gowin netlists, to avoid numbers of sinks for which place and route is slow.

nextpnr-himbaechel routes nets of up to 50 sinks, of which more than 10 are far from the source,
over dedicated wires that span a column.  It searches the whole device for each such wire: seconds
per net, minutes in all.  Nets with fewer or more sinks are routed normally.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.hw.floorplan.floorplan import numbered
from penstock.hw.flow.flat_netlist import FlatNetlist

__all__ = ["FEW", "MANY", "limit_fanout"]

FEW, MANY = 10, 50

# A distributed memory's read address goes to each of its four look-up tables.
_WEIGHTS = {("RAM16SDP4", "RAD"): 4}

Sink = tuple[str, str, int]


def limit_fanout(netlist: Path) -> int:
    """Split the nets of more than `FEW`, at most `MANY` sinks by buffers, each of `FEW` sinks.

    Sinks in cells with similar names, often bits of one register, get the same buffer.

    Parameters
    ----------
    netlist : Path
        Flat, in Yosys' JSON; rewritten.

    Returns
    -------
    int
        The number of buffers.
    """
    flat = FlatNetlist(netlist)
    cells = flat.cells
    count = 0
    for bit, sinks in _sinks(cells).items():
        if not FEW < _weight(cells, sinks) <= MANY:
            continue
        # The net keeps the buffers and the remaining sinks.
        groups: list[list[Sink]] = []
        while _weight(cells, sinks) + len(groups) > FEW:
            group = [sinks.pop(0)]
            while sinks and _weight(cells, [*group, sinks[0]]) <= FEW:
                group.append(sinks.pop(0))
            groups.append(group)
        for group in groups:
            buffer = {
                "hide_name": 0,
                "type": "LUT1",
                "parameters": {"INIT": "10"},
                "attributes": {},
                "port_directions": {"F": "output", "I0": "input"},
                "connections": {"F": [], "I0": [bit]},
            }
            buffered = flat.add(f"$buffer${count}", "F", buffer)
            for cell, port, index in group:
                cells[cell]["connections"][port][index] = buffered
            count += 1
    flat.save()
    return count


def _weight(cells: dict[str, Any], sinks: list[Sink]) -> int:
    """Number of sinks as seen by place and route."""
    return sum(_WEIGHTS.get((cells[name]["type"], port), 1) for name, port, _ in sinks)


def _sinks(cells: dict[str, Any]) -> dict[int, list[Sink]]:
    """The sinks of each net that is driven by a cell."""
    result: dict[int, list[Sink]] = {}
    driven = set()
    for name in sorted(cells, key=numbered):
        for port, bits in cells[name]["connections"].items():
            into = cells[name]["port_directions"][port] == "input"
            for index, bit in enumerate(bits):
                if into and isinstance(bit, int):
                    result.setdefault(bit, []).append((name, port, index))
                elif not into:
                    driven.add(bit)
    return {bit: sinks for bit, sinks in result.items() if bit in driven}
