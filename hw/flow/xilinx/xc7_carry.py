"""Separate look-up tables for carry chains, for nextpnr-xilinx.

A look-up table next to a carry chain computes an input of the sum.  If its output has other sinks
too, most often for the sum's lowest bit, the tool places it elsewhere and puts a pass-through
look-up table next to the chain: one more wire before the whole chain.  A copy costs less.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from penstock.hw.floorplan.floorplan import numbered
from penstock.hw.flow.flat_netlist import FlatNetlist

__all__ = ["copy_shared_luts"]


def copy_shared_luts(netlist: Path) -> int:
    """Copy the look-up table of each S input of a CARRY4 if it has other sinks too.

    Parameters
    ----------
    netlist : Path
        Flat, in Yosys' JSON; rewritten.

    Returns
    -------
    int
        The number of copies.
    """
    flat = FlatNetlist(netlist)
    cells = flat.cells
    tables: dict[int, str] = {}
    sinks: dict[int, int] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["type"].startswith("LUT") and port == "O":
                tables[bits[0]] = name
            elif cell["port_directions"][port] == "input":
                for bit in bits:
                    sinks[bit] = sinks.get(bit, 0) + 1
    count = 0
    for name in sorted(cells, key=numbered):
        if cells[name]["type"] != "CARRY4":
            continue
        inputs = cells[name]["connections"]["S"]
        for index, bit in enumerate(inputs):
            if bit not in tables or sinks[bit] == 1:
                continue
            sinks[bit] -= 1
            inputs[index] = flat.add(f"$copy${count}", "O", deepcopy(cells[tables[bit]]))
            count += 1
    flat.save()
    return count
