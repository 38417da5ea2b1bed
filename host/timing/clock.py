"""State shared by the simulated engines: time, descriptor queues, completion times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from penstock.host.timing.latencies import Timing, Values
from penstock.models.spec.isa import ENGINE_WAITS, Op

__all__ = ["TINY", "Clock", "Work"]

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
    def stream(descriptors: Iterable[tuple[Op, Values]]) -> list[Work]:
        """Return a program's descriptors as work items, in program order."""
        count = dict.fromkeys(Op, 0)
        result = []
        for op, values in descriptors:
            waits = []
            for engine in ENGINE_WAITS[op]:
                behind = (count[engine] - values[f"wait_{engine.name.lower()}"]) & 0xFFFF
                if behind < count[engine]:
                    waits.append((engine, count[engine] - behind))
            result.append(Work(op, values, tuple(waits)))
            count[op] += 1
        return result


class Clock:
    """Simulation time, and the descriptors queued for each engine.

    Parameters
    ----------
    timing : Timing

    Members
    -------
    now : float
        Cycles since the start bit.
    wake : float
        Time of the next known event.
    queues : dict of deque
        For each engine, the descriptors dispatched to it, each with the cycle from which it is
        visible.
    finish : dict of list
        For each engine, the completion times of its descriptors; may lie ahead of `now`.
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.now = 0.0
        self.wake = inf
        self.queues: dict[Op, deque[tuple[Work, float]]] = {op: deque() for op in Op}
        self.finish: dict[Op, list[float]] = {op: [] for op in Op}
        self._taken = dict.fromkeys(Op, -inf)
        # When engines see their next descriptors, as far as that is known: it does not change.
        self._seen: dict[Op, float | None] = dict.fromkeys(Op)

    def due(self, moment: float) -> bool:
        """Whether a time has been reached; if not, it becomes an event."""
        if moment <= self.now + TINY:
            return True
        if moment < self.wake:
            self.wake = moment
        return False

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

    def take(self, op: Op) -> Work:
        """The engine takes its next descriptor now."""
        self._taken[op] = self.now
        self._seen[op] = None
        return self.queues[op].popleft()[0]
