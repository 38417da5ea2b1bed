"""Where the DSPs and block RAMs of `hw.boards.pynq_z2_top.PynqTop` go on a Zynq-7020.

The open placer is good at slices.  DSPs and block RAMs it gives whatever place is left, one after
the other, and takes most of its time for it; so they have their places from here, and the placer
puts the slices around them.

::

    DSPs  RAMs            X0  X0      X1  X1      X2  X2  X3     X4  X3  X4  X5
                          R   D       D   R       R   D   R      R   D   D   R      tiles
                         (processor)              .   5   .      .   6  15   .      30
                                                  .   4   .      .   7  14   .
                                                  .   3   .      .   8  13   .
                          .   lanes   .   .       .   2   .      .   9  12   .      10
                          .   lanes   0   .       .   1   .      .  10  11   .

Pair p of the array's columns lies beside pair p + 1, activations go from one to the next.  Its
chains take neighbouring tiles, from above to below as the sums go; at its foot are the block RAMs
of its partial sums.  Every other memory takes the free place that is nearest to what it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from penstock.hw.floorplan.floorplan import Memories, nearest, numbered
from penstock.models.spec.arch import Arch

__all__ = ["zynq_7020"]

# Columns of tiles of two DSPs, or of one RAMB36 or two RAMB18: where they are, in columns of the
# device, and how many tiles, counted from the bottom.
_DSPS = {"X0": (28, 10), "X1": (39, 10), "X2": (68, 30), "X3": (147, 30), "X4": (158, 30)}
_RAMS = {
    "X0": (19, 10),
    "X1": (48, 10),
    "X2": (59, 30),
    "X3": (93, 30),
    "X4": (138, 30),
    "X5": (167, 30),
}
# A tile's height, in widths of a column: wires up and down cost the placer twice.
_HEIGHT = 10

# Columns of DSPs in the order in which pairs fill them, and whether from below.
_ORDER = (("X1", True), ("X2", True), ("X3", False), ("X4", True))

# What memories belong to, as a column of the device and a tile; they choose in this order.  The
# processor's ports are at (50, 20), the array begins at (39, 0); partial sums belong to the foot of
# their own column of it.
_MEMORIES = Memories(
    (
        (r"\.psums\.", (39, 0)),
        (r"\.dma_", (59, 24)),
        (r"\.act\.", (48, 4)),
        (r"\.lrn\.", (28, 9)),
        (r"\.weights\.", (76, 14)),
        (r"\.out\.", (76, 6)),
        (r"", (59, 20)),
    )
)

Place = tuple[str, int]


def _slots(chains: int) -> Iterator[Place]:
    """Column and lowest tile of each run of `chains` tiles."""
    for name, upward in _ORDER:
        lowest = range(0, _DSPS[name][1] - chains + 1, chains)
        yield from ((name, tile) for tile in (lowest if upward else reversed(lowest)))


class _Tiles:
    """Places for cells, one half or both halves of a tile each."""

    def __init__(self, columns: Mapping[str, tuple[int, int]]) -> None:
        self._columns = columns
        self._free = {(name, y): 2 for name, (_, tiles) in columns.items() for y in range(tiles)}

    def take(self, near: tuple[float, float], halves: int) -> tuple[Place, int]:
        """The nearest tile with so many free halves, and which of them is the first one taken.

        Raises
        ------
        ValueError
            If there is none.
        """
        place = nearest(
            (place for place, free in self._free.items() if free >= halves),
            (near[0], _HEIGHT * near[1]),
            at=lambda place: (self._columns[place[0]][0], _HEIGHT * place[1]),
        )
        first = 2 - self._free[place]
        self._free[place] -= halves
        return place, first

    def occupy(self, place: Place) -> None:
        del self._free[place]


def zynq_7020(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Give the DSPs and block RAMs of a netlist their places.

    Parameters
    ----------
    cells : mapping of str to str
        Type of each cell of the flat netlist, by name.
    arch : Arch

    Returns
    -------
    dict of str to str
        The place of each DSP48E1, RAMB18E1 and RAMB36E1, as nextpnr-xilinx calls it.

    Raises
    ------
    ValueError
        If they do not all find one.
    """
    chains, pairs = arch.rows // 2, arch.cols // 2
    slots = list(_slots(chains))
    if len(slots) < pairs:
        raise ValueError(f"an array of {arch.rows} x {arch.cols} has no place")
    places: dict[str, str] = {}
    dsps, rams = _Tiles(_DSPS), _Tiles(_RAMS)
    for name in sorted(cells, key=numbered):
        match = re.search(r"\.array\.cell_(\d+)_(\d+)\.(upper|lower)\.", name)
        if cells[name] == "DSP48E1" and match:
            column, lowest = slots[int(match[2])]
            tile = lowest + chains - 1 - int(match[1])
            if match[3] == "upper":
                dsps.occupy((column, tile))
            # The cascade goes upward.
            places[name] = f"DSP48_{column}Y{2 * tile + (match[3] == 'lower')}/DSP48E1"
    for name in sorted(cells, key=numbered):
        if cells[name] == "DSP48E1" and name not in places:
            # The placer wants the first of a chain in the lower half.
            (column, tile), _ = dsps.take((_DSPS["X0"][0], 9), 2)
            places[name] = f"DSP48_{column}Y{2 * tile}/DSP48E1"
    memories = (name for name, kind in cells.items() if kind.startswith("RAMB"))
    for name in sorted(memories, key=_MEMORIES.order):
        match = re.search(r"\.psums\.bank_(\d+)_", name)
        if match:
            column, lowest = slots[int(match[1]) // 2]
            near: tuple[float, float] = (_DSPS[column][0], lowest)
        else:
            near = _MEMORIES.near(name)
        if cells[name] == "RAMB36E1":
            (column, tile), _ = rams.take(near, 2)
            places[name] = f"RAMB36_{column}Y{tile}/RAMB36E1"
        else:
            (column, tile), half = rams.take(near, 1)
            places[name] = f"RAMB18_{column}Y{2 * tile + half}/RAMB18E1"
    return places
