"""Where the block RAMs of `hw.boards.tang_nano_top.TangNanoTop` go on a GW2A-18.

nextpnr moves them one after the other to whatever place is left, and as long as they have none, it
knows no better for most of what hangs on them; so they have their places from here.

The device has three rows of block RAMs, between them two of multipliers::

    y = 45   memory            loads, log   activations
        36   MULs
        27   memory            output       partial sums
        18   MULs
         9   link              requests ..

Every block RAM takes the free place that is nearest to where those of its kind belong.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.hw.floorplan.floorplan import Memories, nearest
from penstock.models.spec.arch import Arch

__all__ = ["gw2a_18"]

# Row, and the columns with a block RAM in it.
_SITES = {
    9: range(4, 50, 3),
    27: (*range(1, 23, 3), *range(31, 47, 3)),
    45: range(4, 50, 3),
}

_KINDS = ("SP", "SPX9B", "SPB", "SDP", "SDPB", "SDPX9B", "SPX9", "DP", "DPB", "DPX9B")

# What block RAMs belong to, as a column and a row of the device; they choose in this order.
_MEMORIES = Memories(
    (
        (r"\.controller\.memory\.", (13, 36)),
        (r"\.link\.", (13, 9)),
        (r"\.act\.", (43, 45)),
        (r"\.psums\.", (40, 27)),
        (r"\.out\.", (46, 27)),
        (r"\.system\.memory\.", (28, 9)),
        (r"\.dma_act\.", (30, 45)),
        (r"\.log\.", (34, 45)),
        (r"", (40, 9)),
    )
)


def gw2a_18(cells: Mapping[str, str], arch: Arch) -> dict[str, str]:
    """Give the block RAMs of a netlist their places.

    Parameters
    ----------
    cells : mapping of str to str
        Type of each cell of the flat netlist, by name.
    arch : Arch

    Returns
    -------
    dict of str to str
        The place of each block RAM, as nextpnr-himbaechel calls it.

    Raises
    ------
    ValueError
        If they do not all find one.
    """
    free = {(x, y) for y, columns in _SITES.items() for x in columns}
    memories = sorted((name for name in cells if cells[name] in _KINDS), key=_MEMORIES.order)
    if len(memories) > len(free):
        raise ValueError(f"{len(memories)} block RAMs have {len(free)} places")
    places = {}
    for name in memories:
        place = nearest(free, _MEMORIES.near(name), at=lambda p: p)
        free.remove(place)
        places[name] = "X{}Y{}/BSRAM".format(*place)
    return places
