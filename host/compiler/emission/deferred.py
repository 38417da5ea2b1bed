"""Deferred layers: LRN, pooling and copies of stored maps, run while the array computes other
layers.

Such a layer needs LOAD, POST and room in the output ring, but not the array.  Its units, a plane or
a band each, are emitted between the tiles of convolutions as soon as their source is stored, at the
rate of POST's idle cycles::

    array   | tile | tile | tile | tile |          | tile | tile | tile | tile | tile | tile |
    POST     a      a      a      a       b b b b    a  b    a  b    a      a  b    a
              one layer after the other               b deferred
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.host.compiler.emission.tile import Plan
from penstock.host.program.allocator import Region, Ring

__all__ = ["DeferredLayers", "Unit", "DeferredLayer"]

# POST's idle cycles accumulate for at most this many units, which limits a burst of them.
_SAVED = 2


@dataclass(frozen=True)
class Unit:
    """A part of a deferred layer that is emitted in one piece.

    Parameters
    ----------
    words : int
        Words of the output ring.
    cycles : float
        Cycles of POST.
    ready : callable
        Whether POSTs in the program already store everything that it reads.
    """

    words: int
    cycles: float
    ready: Callable[[], bool]


@dataclass(eq=False)
class DeferredLayer:
    """A layer in the queue of deferred layers.

    Parameters
    ----------
    index : int
        Number of the layer's plan.
    plan : Plan
    units : iterator of Unit
        Each step emits the unit that it yielded before and yields the next one.
    """

    index: int
    plan: Plan
    units: Iterator[Unit]

    def __post_init__(self) -> None:
        self.next = next(self.units, None)


class DeferredLayers:
    """The queue of layers without a convolution that are not complete.

    Parameters
    ----------
    ring : Ring
        The output buffer.

    Members
    -------
    queue : deque of DeferredLayer
        In the order in which they are emitted.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.queue: deque[DeferredLayer] = deque()
        self._saved = 0.0
        # Regions that units hold in the ring, which the convolution cannot use.
        self._regions: deque[Region] = deque()

    def step(self) -> DeferredLayer | None:
        """Emit the first unit in the queue; return its layer if that completes it."""
        waiting = self.queue[0]
        head = self.ring.head
        waiting.next = next(waiting.units, None)
        self._regions.append(Region(head, self.ring.head - head))
        return self.queue.popleft() if waiting.next is None else None

    def save(self, cycles: float) -> None:
        """Add POST's idle cycles to those available for units."""
        unit = self.queue[0].next if self.queue else None
        self._saved = min(self._saved + cycles, _SAVED * unit.cycles) if unit else 0.0

    def due(self, peak: int) -> bool:
        """Whether to emit a unit now.

        Parameters
        ----------
        peak : int
            Words of the ring that the convolution in progress needs.
        """
        unit = self.queue[0].next if self.queue else None
        if unit is None or self._saved < unit.cycles:
            return False
        if not unit.ready() or not self._room(unit, peak):
            return False
        self._saved -= unit.cycles
        return True

    def _room(self, unit: Unit, peak: int) -> bool:
        """Whether the ring still fits the convolution's regions together with the units'."""
        depth = self.ring.depth
        assert depth is not None
        held = self.ring.held
        while self._regions and (held is None or self._regions[0].start < held):
            self._regions.popleft()
        between = sum(region.words for region in self._regions)
        return peak + between + unit.words <= depth
