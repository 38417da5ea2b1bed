"""Where a feature map's channels are: parts of maps in memory.

Concatenation is done by placement: the layers it joins store their channels side by side in one
map.  Each of its parts begins a plane of its own, so a part whose width is not a multiple of the
words' leaves the rest of its last plane empty::

    rows = 4:   | a a a a | a a - - | b b b - | c c c c |     widths (6, 3, 4)
    slot          0 1 2 3   4 5       8 9 10   12 ...

What reads such a map has no weights for the empty slots, and what it reads there is zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["View", "planes_of", "slots_of"]


def planes_of(widths: Iterable[int], rows: int) -> int:
    """Planes of parts of so many channels, of `rows` channels each."""
    return sum(-(-width // rows) for width in widths)


def slots_of(widths: Iterable[int], rows: int) -> NDArray[np.int64]:
    """Return the place of every channel, counted in bytes of the planes' words (channels,)."""
    first = 0
    parts = []
    for width in widths:
        parts.append(first + np.arange(width))
        first += -(-width // rows) * rows
    return np.concatenate(parts).astype(np.int64)


@dataclass(frozen=True)
class View:
    """Parts of a map that lie side by side.

    Parameters
    ----------
    map : str
        The map's name: of the layer, or of the outermost concatenation, that it is the result of.
    size : (int, int)
        Rows, columns.
    before : tuple of int
        Channels of the map's parts ahead of these.
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
        """The map's plane that these parts begin with."""
        return planes_of(self.before, rows)

    def planes(self, rows: int) -> int:
        """Planes of these parts."""
        return planes_of(self.widths, rows)

    def dense(self, rows: int) -> bool:
        """Whether no slot is empty but after the last channel."""
        return all(width % rows == 0 for width in self.widths[:-1])

    def filled(self, rows: int) -> list[int]:
        """Channels in each plane."""
        return [
            min(rows, width - first) for width in self.widths for first in range(0, width, rows)
        ]

    def slots(self, rows: int) -> NDArray[np.int64]:
        """Place of every channel, counted in bytes of these planes' words (channels,)."""
        return slots_of(self.widths, rows)

    def overlaps(self, other: View) -> bool:
        """Whether both have a part in common."""
        return (
            self.map == other.map
            and len(self.before) < len(other.before) + len(other.widths)
            and len(other.before) < len(self.before) + len(self.widths)
        )

    def part(self, first: int, count: int) -> View:
        """Return the view of `count` parts from number `first` on."""
        before = self.before + self.widths[:first]
        return View(self.map, self.size, before, self.widths[first : first + count])
