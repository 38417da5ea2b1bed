"""Channel views: where the channels of a feature map are stored.

Concatenation is done by placement: its inputs are stored side by side in one map.  Each part begins
a new plane, so a part whose channels are not a multiple of the word's leaves slots of its last
plane empty::

    rows = 4:   | a a a a | a a - - | b b b - | c c c c |     widths (6, 3, 4)
    slot          0 1 2 3   4 5       8 9 10   12 ...

Layers that read such a map have zero weights for the empty slots, whose contents are zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChannelView", "planes_of", "slots_of"]


def planes_of(widths: Iterable[int], rows: int) -> int:
    """Planes, of `rows` channels each, of parts with these channel counts."""
    return sum(-(-width // rows) for width in widths)


def slots_of(widths: Iterable[int], rows: int) -> NDArray[np.int64]:
    """Return the slot of every channel, in bytes of the planes' words, int64 (channels,)."""
    first = 0
    parts = []
    for width in widths:
        parts.append(first + np.arange(width))
        first += -(-width // rows) * rows
    return np.concatenate(parts).astype(np.int64)


@dataclass(frozen=True)
class ChannelView:
    """A channel view: adjacent parts of a map.

    Parameters
    ----------
    map : str
        The map's name: the layer, or the outermost concatenation, that produces it.
    size : (int, int)
        Rows, columns.
    before : tuple of int
        Channels of the map's parts before these.
    widths : tuple of int
        Channels of these parts.
    """

    map: str
    size: tuple[int, int]
    before: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Channels in all."""
        return sum(self.widths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        return (*self.size, self.channels)

    def first(self, rows: int) -> int:
        """The map's plane at which these parts begin."""
        return planes_of(self.before, rows)

    def planes(self, rows: int) -> int:
        """Planes of these parts."""
        return planes_of(self.widths, rows)

    def dense(self, rows: int) -> bool:
        """Whether only slots after the last channel are empty."""
        return all(width % rows == 0 for width in self.widths[:-1])

    def filled(self, rows: int) -> list[int]:
        """Channels in each plane."""
        return [
            min(rows, width - first) for width in self.widths for first in range(0, width, rows)
        ]

    def slots(self, rows: int) -> NDArray[np.int64]:
        """Slot of every channel, in bytes of these planes' words, int64 (channels,)."""
        return slots_of(self.widths, rows)

    def overlaps(self, other: ChannelView) -> bool:
        """Whether both views have a part in common."""
        return (
            self.map == other.map
            and len(self.before) < len(other.before) + len(other.widths)
            and len(other.before) < len(self.before) + len(self.widths)
        )

    def part(self, first: int, count: int) -> ChannelView:
        """Return the view of `count` parts, starting with number `first`."""
        before = self.before + self.widths[:first]
        return ChannelView(self.map, self.size, before, self.widths[first : first + count])
