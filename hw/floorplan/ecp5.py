"""Where the multipliers and block RAMs of a `hw.boards.ulx3s_top.Ulx3sTop` go on an ECP5.

nextpnr moves them one after the other to whatever place is left, which takes most of its time and
makes wires of twice the length; so they have their places from here.

A device has blocks of nine columns beside each other.  In some rows, a block has four multipliers;
in others, four block RAMs.  The 85F has 13 blocks::

    y = 82   RAMs     link ..  everything else
        70   RAMs                                weights, activations
        58   MULs     rows 0 to 3
        46   RAMs
        34   MULs     rows 4 to 7
        22   RAMs     partial sums
        10   MULs     rows 8 to 11
                      column 11 .. column 6, lanes, column 5 .. column 0   | SDRAM

the 45F nine::

    y = 58   RAMs     link ..  everything else   weights
        46   MULs     rows 0 to 3
        34   RAMs     partial sums               activations
        22   MULs     rows 4 to 7
        10   RAMs

and the 25F, which is the 12F as well, seven::

    y = 37   RAMs     link ..  everything else   weights
        25   RAMs     partial sums               activations
        13   MULs     rows 0 to 3

A column of the array is a block wide: sums go down, activations from right to left.  The block in
the middle is for the lanes of what comes after the array.  Every memory takes the free place that
is nearest to what it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.hw.floorplan.floorplan import Memories, nearest, numbered
from penstock.models.spec.arch import Arch

__all__ = ["ecp5_25", "ecp5_45", "ecp5_85"]

# Multipliers and block RAMs of a block: columns from its first, and what the places are called.
_MULS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
_RAMS = ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))

Place = tuple[int, int, str]


@dataclass(frozen=True, kw_only=True)
class _Device:
    """Where a device has what, and what the memories of the design are near.

    Parameters
    ----------
    blocks : tuple of int
        First column of each block; the clocks' spine takes the place before one of them.
    lanes : (int, int)
        The block that the array leaves out, if it can, and the row for the lanes.
    mul_rows : tuple of int
        In the order in which sums pass them.
    ram_rows : tuple of int
    sums_row : int
        Of the partial sums, which are below or above their column of the array.
    near : mapping of str to (int, int)
        What other memories belong to, by a pattern for their names: a column and a row of the
        device.  They choose in this order.
    """

    blocks: tuple[int, ...]
    lanes: tuple[int, int]
    mul_rows: tuple[int, ...]
    ram_rows: tuple[int, ...]
    sums_row: int
    near: Mapping[str, tuple[int, int]]


_85 = _Device(
    blocks=(4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114),
    lanes=(6, 34),
    mul_rows=(58, 34, 10),
    ram_rows=(22, 46, 70, 82),
    sums_row=22,
    near={
        r"\.psums\.": (62, 22),
        r"\.act\.": (112, 52),
        r"\.out\.": (62, 40),
        r"\.lrn\.": (62, 58),
        r"\.weights\.": (75, 70),
        r"\.dma_": (100, 70),
        r"\.link\.": (8, 70),
        r"": (30, 70),
    },
)
_45 = _Device(
    blocks=(4, 13, 22, 31, 42, 51, 60, 69, 78),
    lanes=(4, 22),
    mul_rows=(46, 22),
    ram_rows=(10, 34, 58),
    sums_row=34,
    near={
        r"\.psums\.": (45, 34),
        r"\.act\.": (78, 34),
        r"\.out\.": (45, 30),
        r"\.lrn\.": (45, 40),
        r"\.weights\.": (52, 58),
        r"\.dma_": (70, 58),
        r"\.link\.": (6, 58),
        r"": (22, 58),
    },
)
_25 = _Device(
    blocks=(4, 13, 22, 33, 42, 51, 60),
    lanes=(3, 13),
    mul_rows=(13,),
    ram_rows=(25, 37),
    sums_row=25,
    near={
        r"\.psums\.": (36, 25),
        r"\.act\.": (62, 25),
        r"\.out\.": (36, 25),
        r"\.lrn\.": (36, 25),
        r"\.weights\.": (42, 37),
        r"\.dma_": (56, 37),
        r"\.link\.": (6, 37),
        r"": (20, 37),
    },
)


def ecp5_85(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Places on an LFE5U-85F; see `_places`."""
    return _places(_85, cells, arch)


def ecp5_45(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Places on an LFE5U-45F; see `_places`."""
    return _places(_45, cells, arch)


def ecp5_25(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Places on an LFE5U-25F or an LFE5U-12F; see `_places`."""
    return _places(_25, cells, arch)


def _places(device: _Device, cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Give the multipliers and block RAMs of a netlist their places.

    Parameters
    ----------
    device : _Device
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
    columns = _columns(device, arch)
    rows = device.mul_rows[len(device.mul_rows) - -(-arch.rows // len(_MULS)) :]
    muls = {(x + dx, y, name) for x in device.blocks for y in device.mul_rows for dx, name in _MULS}
    rams = {(x + dx, y, name) for x in device.blocks for y in device.ram_rows for dx, name in _RAMS}
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
    block, lanes_row = device.lanes
    for name in multipliers:
        if name not in places:
            places[name] = _take(muls, near=(device.blocks[block], lanes_row))
    order = Memories(tuple(device.near.items()))
    memories = [name for name in names if cells[name] == "DP16KD"]
    for name in sorted(memories, key=order.order):
        match = re.search(r"\.psums\.bank_(\d+)_", name)
        near = (columns[int(match[1])], device.sums_row) if match else order.near(name)
        places[name] = _take(rams, near=near)
    return {name: f"X{x}/Y{y}/{kind}" for name, (x, y, kind) in places.items()}


def _columns(device: _Device, arch: Arch) -> list[int]:
    """First column of each array column's block."""
    lanes, _ = device.lanes
    blocks = [
        x for k, x in enumerate(device.blocks) if k != lanes or arch.cols == len(device.blocks)
    ]
    if arch.cols > len(blocks) or arch.rows > len(_MULS) * len(device.mul_rows):
        raise ValueError(f"an array of {arch.rows} x {arch.cols} has no place")
    return blocks[::-1][: arch.cols]


def _take(free: set[Place], *, near: tuple[int, int]) -> Place:
    """Take the nearest place."""
    place = nearest(free, near, at=lambda p: p[:2])
    free.remove(place)
    return place
