"""The simulated read ports: streams of beats, each limited by the FIFO that it fills.

A port's position is the number of beats received since the start.  `settle` does what takes no
time, `demand` is the rate it could accept in beats per cycle, `until` says for how many cycles a
given rate holds, and `advance` moves the position.
"""

from __future__ import annotations

from collections import deque
from math import inf

from penstock.host.timing.clock import TINY, Clock, Work
from penstock.host.timing.latencies import BEAT
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op

__all__ = ["Fetch", "Loads", "Weights"]

_DESC = DESCRIPTOR_BYTES // BEAT


class Fetch:
    """The fetcher: it prefetches descriptors and dispatches them in order.

    A full queue stalls all later descriptors.
    """

    def __init__(self, clock: Clock, work: list[Work]) -> None:
        self.clock = clock
        self.work = work
        self.handed = 0
        self.position = 0.0
        self.done = not work
        self._due: float | None = (
            None  # when the next descriptor is dispatched, once it has arrived
        )
        self._earliest = 0.0
        self._next = 0.0  # position at which the next descriptor is complete
        self._goal = 0.0
        self._aim()

    def _aim(self) -> None:
        """Set the limit for beats: the descriptor being collected, plus the FIFO's depth."""
        self._next = float(_DESC * (self.handed + 1))
        self._goal = min(_DESC * len(self.work), self._next + self.clock.timing.read_fifo)

    def settle(self) -> bool:
        """Dispatch the next descriptor, if due."""
        if self.done:
            return False
        clock, timing = self.clock, self.clock.timing
        if self._due is None:
            if self.position < self._next - TINY:
                return False
            self._due = max(clock.now + timing.hand_out, self._earliest)
        if not clock.due(self._due):
            return False
        work = self.work[self.handed]
        queue = clock.queues[work.op]
        if len(queue) >= timing.queue:
            return False
        queue.append((work, clock.now + timing.gate))
        self.handed += 1
        self.done = self.handed == len(self.work)
        self._earliest = clock.now + timing.between
        self._due = None
        self._aim()
        return True

    def demand(self) -> float:
        return 1.0 if self.position < self._goal - TINY else 0.0

    def until(self, rate: float) -> float:
        if not rate:
            return inf
        goal = self._next
        if self._due is not None or goal <= self.position:
            goal = self._goal
        return (goal - self.position) / rate

    def advance(self, beats: float) -> None:
        self.position += beats


class Loads:
    """LOAD: planes one after the other, without a gap between them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.position = 0.0
        self._end = 0.0
        # Descriptors taken: end position, descriptor, and earliest time of the first beat.
        self._line: deque[tuple[float, Work, float]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._line

    def _front(self) -> float:
        """The position from which the front has issued everything it has taken."""
        timing = self.clock.timing
        planes = timing.commands * self._line[-1][1].values["plane_beats"]
        return self._end - timing.read_fifo - planes

    def settle(self) -> bool:
        """Take the next descriptor, if it is time."""
        clock, timing = self.clock, self.clock.timing
        moment = clock.seen(Op.LOAD)
        if moment is None or len(self._line) >= timing.ahead:
            return False
        if (self._line and self.position < self._front() - TINY) or not clock.due(moment):
            return False
        work = clock.take(Op.LOAD)
        self._end += work.values["plane_beats"] * work.values["planes"]
        self._line.append((self._end, work, clock.now + timing.read))
        return True

    def demand(self) -> float:
        if not self._line:
            return 0.0
        _, work, begin = self._line[0]
        return self.clock.timing.load_rate(work.values) if self.clock.due(begin) else 0.0

    def until(self, rate: float) -> float:
        if not rate:
            return inf
        goal = self._line[0][0]
        if self.clock.queues[Op.LOAD] and self.position < self._front() - TINY:
            goal = min(goal, self._front())
        return (goal - self.position) / rate

    def advance(self, beats: float) -> None:
        self.position += beats
        if self._line and self.position >= self._line[0][0] - TINY:
            self.position = self._line.popleft()[0]
            self.clock.finish[Op.LOAD].append(self.clock.now + self.clock.timing.loaded)


class Weights:
    """WEIGHTS: parameters and blocks, limited by the FIFO and the two parameter banks.

    Members
    -------
    tiles : deque of list
        For each tile with unused blocks: position of its next block, blocks left, and how many
        drains must complete before its parameters have a bank (0: they have one).
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.position = 0.0
        self.tiles: deque[list[float]] = deque()
        self._end = 0.0
        self._line: deque[tuple[float, float]] = deque()  # end position, time of the first beat
        self._params: deque[tuple[float, int]] = deque()  # position, drains needed
        self._sets = 0
        self._limit = 0.0
        self._room = inf
        self._used = 0.0  # beats per cycle that leave the FIFO

    def settle(self) -> bool:
        """Take the next descriptor, if it is time."""
        clock, timing = self.clock, self.clock.timing
        moment = clock.seen(Op.WEIGHTS)
        if moment is None or len(self._line) >= timing.ahead or not clock.due(moment):
            return False
        v = clock.take(Op.WEIGHTS).values
        needed = 0
        if v["has_params"]:
            self._sets += 1
            needed = max(self._sets - 2, 0)
            self._params.append((self._end, needed))
        params = timing.params_beats * v["has_params"]
        self.tiles.append([self._end + params, v["blocks"], needed])
        self._end += v["beats"]
        self._line.append((self._end, clock.now + timing.read))
        return True

    def _reach(self) -> float:
        """Position up to which beats may arrive: all requested, up to parameters that have no
        bank.
        """
        clock, timing = self.clock, self.clock.timing
        limit = self.position
        for end, begin in self._line:
            if not clock.due(begin):
                break
            limit = end
        drained = clock.finish[Op.DRAIN]
        while self._params:
            position, needed = self._params[0]
            if needed and not (len(drained) >= needed and clock.due(drained[needed - 1] + 1)):
                return min(limit, position + timing.read_fifo)
            self._params.popleft()
        return limit

    def demand(self, taken: float, used: float) -> float:
        """Return the rate that can be accepted, in beats per cycle.

        Parameters
        ----------
        taken : float
            Position up to which blocks have left the FIFO.
        used : float
            Rate at which that position advances, in beats per cycle.
        """
        timing = self.clock.timing
        self._limit = self._reach()
        self._room = taken + timing.weight_beats + timing.read_fifo
        self._used = used
        if self.position >= self._limit - TINY:
            return 0.0
        full = self.position >= self._room - TINY
        return min(timing.weight_rate, used) if full else timing.weight_rate

    def until(self, rate: float) -> float:
        if not rate:
            return inf
        step = (self._limit - self.position) / rate
        if rate > self._used and self.position < self._room - TINY:
            step = min(step, (self._room - self.position) / (rate - self._used))
        return step

    def advance(self, beats: float) -> None:
        self.position += beats
        while self._line and self.position >= self._line[0][0] - TINY:
            self._line.popleft()
            self.clock.finish[Op.WEIGHTS].append(self.clock.now)
