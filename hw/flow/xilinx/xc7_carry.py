"""Look-up tables of a carry chain's own, for nextpnr-xilinx.

A look-up table beside a carry chain gives its sums' bits.  If something else takes its output as
well, most often the sum's lowest bit, the tool leaves it somewhere else and puts another one, which
only passes the bit on, into its place: a wire more in front of the whole chain.  A copy costs less.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from penstock.hw.floorplan.floorplan import numbered
from penstock.hw.flow.flat_netlist import FlatNetlist

__all__ = ["copy_shared_luts"]


def copy_shared_luts(netlist: Path) -> int:
    """Give each S input of a CARRY4 whose look-up table has other sinks too a copy of it.

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
