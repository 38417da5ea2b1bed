"""Where the multipliers and block RAMs of `hw.boards.ulx3s_top.Ulx3sTop` go on an ECP5-85.

nextpnr moves them one after the other to whatever place is left, which takes most of its time and
makes wires of twice the length; so they have their places from here.

The device has 13 blocks of nine columns beside each other.  In three rows, a block has four
multipliers; in four others, four block RAMs::

    y = 82   RAMs     link ..  everything else
        70   RAMs                                weights, activations
        58   MULs     rows 0 to 3
        46   RAMs
        34   MULs     rows 4 to 7
        22   RAMs     partial sums
        10   MULs     rows 8 to 11
                      column 11 .. column 6, lanes, column 5 .. column 0   | SDRAM

A column of the array is a block wide: sums go down, activations from right to left.  The block in
the middle is for the lanes of what comes after the array.  Every memory takes the free place that
is nearest to what it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock.hw.floorplan.floorplan import Memories, numbered
from penstock.models.spec.arch import Arch

__all__ = ["ecp5_85"]

# First column of each block; the clocks' spine takes the place before the eighth.
_BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
_LANES = 6  # the block that the array leaves out, if it can

# Multipliers and block RAMs of a block: columns from its first, and what the places are called.
_MULS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
_RAMS = ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))
# In the order in which sums pass them.
_MUL_ROWS = (58, 34, 10)
_RAM_ROWS = (22, 46, 70, 82)

# What memories belong to, as a column and a row of the device; they choose in this order.  Partial
# sums belong to their column of the array, and only their row is the same.
_SUMS_ROW = 22
_MEMORIES = Memories(
    (
        (r"\.psums\.", (62, _SUMS_ROW)),
        (r"\.act\.", (112, 52)),
        (r"\.out\.", (62, 40)),
        (r"\.lrn\.", (62, 58)),
        (r"\.weights\.", (75, 70)),
        (r"\.dma_", (100, 70)),
        (r"\.link\.", (8, 70)),
        (r"", (30, 70)),
    )
)

Place = tuple[int, int, str]


def ecp5_85(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Give the multipliers and block RAMs of a netlist their places.

    Parameters
    ----------
    cells : mapping of str to str
        Type of each cell of the flat netlist, by name.
    arch : Arch

    Returns
    -------
    dict of str to str
        The place of each MULT18X18D and DP16KD, as nextpnr-ecp5 calls it.

    Raises
    ------
    ValueError
        If they do not all find one.
    """
    columns = _columns(arch)
    rows = _MUL_ROWS[len(_MUL_ROWS) - -(-arch.rows // len(_MULS)) :]
    muls = {(x + dx, y, name) for x in _BLOCKS for y in _MUL_ROWS for dx, name in _MULS}
    rams = {(x + dx, y, name) for x in _BLOCKS for y in _RAM_ROWS for dx, name in _RAMS}
    places: dict[str, Place] = {}
    names = sorted(cells, key=numbered)
    multipliers = [name for name in names if cells[name] == "MULT18X18D"]
    for name in multipliers:
        match = re.search(r"\.\\?pe_(\d+)_(\d+)\.", name)
        if match:
            quad, k = divmod(int(match[1]), len(_MULS))
            dx, kind = _MULS[k]
            places[name] = (columns[int(match[2])] + dx, rows[quad], kind)
            muls.remove(places[name])
    for name in multipliers:
        if name not in places:
            places[name] = _take(muls, near=(_BLOCKS[_LANES], 34))
    memories = [name for name in names if cells[name] == "DP16KD"]
    for name in sorted(memories, key=_MEMORIES.order):
        match = re.search(r"\.psums\.bank_(\d+)_", name)
        near = (columns[int(match[1])], _SUMS_ROW) if match else _MEMORIES.near(name)
        places[name] = _take(rams, near=near)
    return {name: f"X{x}/Y{y}/{kind}" for name, (x, y, kind) in places.items()}


def _columns(arch: Arch) -> list[int]:
    """First column of each array column's block."""
    blocks = [x for k, x in enumerate(_BLOCKS) if k != _LANES or arch.cols == len(_BLOCKS)]
    if arch.cols > len(blocks) or arch.rows > len(_MULS) * len(_MUL_ROWS):
        raise ValueError(f"an array of {arch.rows} x {arch.cols} has no place")
    return blocks[::-1][: arch.cols]


def _take(free: set[Place], *, near: tuple[int, int]) -> Place:
    """Take the nearest place.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not free:
        raise ValueError("no place is left")
    place = min(free, key=lambda p: (abs(p[0] - near[0]) + abs(p[1] - near[1]), p))
    free.remove(place)
    return place
