"""State shared by the simulated engines: time, descriptor queues, completion times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from penstock.host.timing.latencies import Timing, Values
from penstock.models.spec.isa import ENGINE_WAITS, Op

__all__ = ["TINY", "Clock", "Engine", "Work"]

# Times and positions that differ by less are taken as equal.
TINY = 1e-6


@dataclass
class Work:
    """One descriptor: what the event simulation needs of it.

    Parameters
    ----------
    op : Op
    values : dict
        Its fields.
    waits : tuple of (Op, int)
        Engines, and how many of their descriptors must be complete: absolute counts, no modulo.
    """

    op: Op
    values: Values
    waits: tuple[tuple[Op, int], ...]

    @staticmethod
    def stream(descriptors: Iterable[tuple[Op, Values]]) -> Iterator[Work]:
        """Yield a program's descriptors as work items, in program order."""
        count = dict.fromkeys(Op, 0)
        for op, values in descriptors:
            waits = []
            for engine in ENGINE_WAITS[op]:
                behind = (count[engine] - values[f"wait_{engine.name.lower()}"]) & 0xFFFF
                if behind < count[engine]:
                    waits.append((engine, count[engine] - behind))
            yield Work(op, values, tuple(waits))
            count[op] += 1


# Whose next step may depend on a completed descriptor of an engine: the engine itself, those that
# wait for it, and after a DRAIN those that use the partial-sum and parameter banks it frees.
_CONCERNED = {
    op: {op, *(other for other in Op if op in ENGINE_WAITS[other])}
    | ({Op.CONV, Op.WEIGHTS} if op is Op.DRAIN else set())
    for op in Op
}


class Clock:
    """Simulation time, and the descriptors queued for each engine.

    Parameters
    ----------
    timing : Timing

    Members
    -------
    now : float
        Cycles since the start bit.
    engines : dict of Engine
        By what they execute; the fetcher is not among them.
    fetcher : Engine or None
    queues : dict of deque
        For each engine, the descriptors dispatched to it, each with the cycle from which it is
        visible.
    finish : dict of list
        For each engine, the completion times of its descriptors; may lie ahead of `now`.
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.now = 0.0
        self.engines: dict[Op, Engine] = {}
        self.fetcher: Engine | None = None
        self.queues: dict[Op, deque[tuple[Work, float]]] = {op: deque() for op in Op}
        self.finish: dict[Op, list[float]] = {op: [] for op in Op}
        self._taken = dict.fromkeys(Op, -inf)
        # When engines see their next descriptors, as far as that is known: it does not change.
        self._seen: dict[Op, float | None] = dict.fromkeys(Op)

    def seen(self, op: Op) -> float | None:
        """When the engine can take its next descriptor, waits met; None if not yet known."""
        known = self._seen[op]
        if known is not None:
            return known
        queue = self.queues[op]
        if not queue:
            return None
        work, moment = queue[0]
        moment = max(moment, self._taken[op] + self.timing.counted)
        for engine, count in work.waits:
            done = self.finish[engine]
            if len(done) < count:
                return None
            moment = max(moment, done[count - 1] + self.timing.counted)
        self._seen[op] = moment
        return moment

    def rouse(self, op: Op) -> None:
        """Let an engine look again at what it can do."""
        engine = self.engines.get(op)
        if engine is not None:
            engine.wake = -inf

    def dispatch(self, op: Op, work: Work) -> None:
        """The fetcher puts a descriptor into an engine's queue now."""
        self.queues[op].append((work, self.now + self.timing.gate))
        self.rouse(op)

    def take(self, op: Op) -> Work:
        """The engine takes its next descriptor now."""
        self._taken[op] = self.now
        self._seen[op] = None
        if self.fetcher is not None:
            self.fetcher.wake = -inf
        return self.queues[op].popleft()[0]

    def complete(self, op: Op, moment: float) -> None:
        """The engine's oldest descriptor in work is complete at a time, now or later."""
        self.finish[op].append(moment)
        for concerned in _CONCERNED[op]:
            self.rouse(concerned)


class Engine(ABC):
    """A simulated engine: it has nothing to do until its `wake`, or until it is roused.

    Parameters
    ----------
    clock : Clock
    op : Op or None
        What it executes; None for the fetcher.

    Members
    -------
    wake : float
        When `settle` is to be called next, unless the engine is roused before.
    """

    def __init__(self, clock: Clock, op: Op | None) -> None:
        self.clock = clock
        self.wake = -inf
        if op is None:
            clock.fetcher = self
        else:
            clock.engines[op] = self

    @abstractmethod
    def settle(self) -> bool:
        """Do what is due and takes no time; return whether there was anything."""

    def due(self, moment: float) -> bool:
        """Whether a time has been reached; if not, the engine wakes then."""
        if moment <= self.clock.now + TINY:
            return True
        if moment < self.wake:
            self.wake = moment
        return False
