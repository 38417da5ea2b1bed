"""LRN, pooling and copies of stored maps, done while the array works on other layers.

Such a layer needs LOAD, POST and room in the output ring, but not the array.  Its units, a plane or
a band each, are written between the tiles of convolutions: as soon as their source is stored, and
as many as POST has time for::

    array   | tile | tile | tile | tile |          | tile | tile | tile | tile | tile | tile |
    POST     a      a      a      a       b b b b    a  b    a  b    a      a  b    a
              one layer after the other               b behind a
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.host.compiler.emission.tile import Plan
from penstock.host.program.allocator import Region, Ring

__all__ = ["Behind", "Unit", "Waiting"]

# POST's idle cycles are saved up for this many units: no more of them come at once.
_SAVED = 2


@dataclass(frozen=True)
class Unit:
    """What is done at once.

    Parameters
    ----------
    words : int
        Of the output ring.
    cycles : float
        POST's.
    ready : callable
        Whether all it reads is stored by POSTs in the program.
    """

    words: int
    cycles: float
    ready: Callable[[], bool]


@dataclass(eq=False)
class Waiting:
    """A layer whose turn has come, or comes soon.

    Parameters
    ----------
    index : int
        Of the layer.
    plan : Plan
    units : iterator of Unit
        Each step writes the unit it gave before and gives the next one.
    """

    index: int
    plan: Plan
    units: Iterator[Unit]

    def __post_init__(self) -> None:
        self.next = next(self.units, None)


class Behind:
    """Layers without a convolution that are not done yet.

    Parameters
    ----------
    ring : Ring
        The output buffer's.

    Members
    -------
    line : deque of Waiting
        In order.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.line: deque[Waiting] = deque()
        self._saved = 0.0
        # The regions of units: they are in the way of the convolution's.
        self._regions: deque[Region] = deque()

    def step(self) -> Waiting | None:
        """Write the first unit of the line; return its layer if it was the last one."""
        waiting = self.line[0]
        head = self.ring.head
        waiting.next = next(waiting.units, None)
        self._regions.append(Region(head, self.ring.head - head))
        return self.line.popleft() if waiting.next is None else None

    def save(self, cycles: float) -> None:
        """Note that POST has so many cycles with nothing else to do."""
        unit = self.line[0].next if self.line else None
        self._saved = min(self._saved + cycles, _SAVED * unit.cycles) if unit else 0.0

    def due(self, peak: int) -> bool:
        """Whether to write a unit now.

        Parameters
        ----------
        peak : int
            Words of the ring that the convolution in progress needs for itself.
        """
        unit = self.line[0].next if self.line else None
        if unit is None or self._saved < unit.cycles:
            return False
        if not unit.ready() or not self._room(unit, peak):
            return False
        self._saved -= unit.cycles
        return True

    def _room(self, unit: Unit, peak: int) -> bool:
        """Whether the convolution's regions and those in between always fit the ring."""
        depth = self.ring.depth
        assert depth is not None
        held = self.ring.held
        while self._regions and (held is None or self._regions[0].start < held):
            self._regions.popleft()
        between = sum(region.words for region in self._regions)
        return peak + between + unit.words <= depth
