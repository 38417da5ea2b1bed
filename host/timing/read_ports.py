"""The simulated read ports: streams of beats, each limited by the FIFO that it fills.

A port's position is the number of beats received since the start.  `settle` does what takes no
time, `demand` is the rate it could accept in beats per cycle, `until` says for how many cycles a
given rate holds, and `advance` moves the position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from math import inf

from penstock.host.timing.clock import TINY, Clock, Engine, Work
from penstock.host.timing.latencies import BEAT
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op

__all__ = ["Fetch", "Loads", "Weights"]

_DESC = DESCRIPTOR_BYTES // BEAT


class Fetch(Engine):
    """The fetcher: it prefetches descriptors and dispatches them in order.

    A full queue stalls all later descriptors.

    Members
    -------
    handed, posts : int
        Descriptors dispatched so far, and how many POSTs are among them.
    done : bool
        Whether there are no more.
    """

    def __init__(self, clock: Clock, work: Iterable[Work]) -> None:
        super().__init__(clock, None)
        self._rest = iter(work)
        # As many as matter now: the one being collected and those that the FIFO holds.
        self._ahead: deque[Work] = deque()
        self._depth = 1 + clock.timing.read_fifo // _DESC
        self.handed = 0
        self.posts = 0
        self.position = 0.0
        self.done = False
        self._due: float | None = (
            None  # when the next descriptor is dispatched, once it has arrived
        )
        self._earliest = 0.0
        self._next = 0.0  # position at which the next descriptor is complete
        self._goal = 0.0
        self._aim()

    def _aim(self) -> None:
        """Set the limit for beats: the descriptor being collected, plus the FIFO's depth."""
        self._ahead.extend(islice(self._rest, self._depth - len(self._ahead)))
        self.done = not self._ahead
        self._next = float(_DESC * (self.handed + 1))
        self._goal = float(_DESC * (self.handed + len(self._ahead)))

    def settle(self) -> bool:
        """Dispatch the next descriptor, if due."""
        if self.done:
            return False
        clock, timing = self.clock, self.clock.timing
        if self._due is None:
            if self.position < self._next - TINY:
                return False
            self._due = max(clock.now + timing.hand_out, self._earliest)
        if not self.due(self._due):
            return False
        work = self._ahead[0]
        if len(clock.queues[work.op]) >= timing.queue:
            return False
        clock.dispatch(work.op, work)
        self._ahead.popleft()
        self.handed += 1
        self.posts += work.op is Op.POST
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
        if self._due is None and self.position >= self._next - TINY:
            self.wake = -inf


class Loads(Engine):
    """LOAD: planes one after the other, without a gap between them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, Op.LOAD)
        self.position = 0.0
        self._end = 0.0
        # Descriptors taken: end position, rate, and earliest time of the first beat.
        self._line: deque[tuple[float, float, float]] = deque()
        # The position from which the front has issued everything it has taken.
        self._front = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._line

    def settle(self) -> bool:
        """Take the next descriptor, if it is time."""
        clock, timing = self.clock, self.clock.timing
        moment = clock.seen(Op.LOAD)
        if moment is None or len(self._line) >= timing.ahead:
            return False
        if (self._line and self.position < self._front - TINY) or not self.due(moment):
            return False
        v = clock.take(Op.LOAD).values
        self._end += v["plane_beats"] * v["planes"]
        self._front = self._end - timing.read_fifo - timing.commands * v["plane_beats"]
        self._line.append((self._end, timing.load_rate(v), clock.now + timing.read))
        return True

    def demand(self) -> float:
        if not self._line:
            return 0.0
        _, rate, begin = self._line[0]
        return rate if self.due(begin) else 0.0

    def until(self, rate: float) -> float:
        if not rate:
            return inf
        goal = self._line[0][0]
        if self.position < self._front - TINY and self._front < goal and self.clock.queues[Op.LOAD]:
            goal = self._front
        return (goal - self.position) / rate

    def advance(self, beats: float) -> None:
        if self.position < self._front <= self.position + beats + TINY:
            self.wake = -inf
        self.position += beats
        if self._line and self.position >= self._line[0][0] - TINY:
            self.position = self._line.popleft()[0]
            self.clock.complete(Op.LOAD, self.clock.now + self.clock.timing.loaded)


class Weights(Engine):
    """WEIGHTS: parameters and blocks, limited by the FIFO and the two parameter banks.

    Members
    -------
    tiles : deque of list
        For each tile with unused blocks: position of its next block, blocks left, and how many
        drains must complete before its parameters have a bank (0: they have one).
    awaited : float
        Position at which the array has the weights that it waits for.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, Op.WEIGHTS)
        self.position = 0.0
        self.tiles: deque[list[float]] = deque()
        self.awaited = inf
        self._end = 0.0
        self._line: deque[tuple[float, float]] = deque()  # end position, time of the first beat
        self._params: deque[tuple[float, int]] = deque()  # position, drains needed
        self._sets = 0
        self._limit = 0.0
        self._room = inf
        self._used = 0.0  # beats per cycle that leave the FIFO

    def settle(self) -> bool:
        """Take the next descriptor, if it is time; note how far beats may come."""
        taken = self._take()
        self._limit = self._reach()
        return taken

    def _take(self) -> bool:
        clock, timing = self.clock, self.clock.timing
        moment = clock.seen(Op.WEIGHTS)
        if moment is None or len(self._line) >= timing.ahead or not self.due(moment):
            return False
        v = clock.take(Op.WEIGHTS).values
        needed = 0
        if v["has_params"]:
            self._sets += 1
            needed = max(self._sets - 2, 0)
            self._params.append((self._end, needed))
        params = timing.params_beats * v["has_params"]
        self.tiles.append([self._end + params, v["blocks"], needed])
        clock.rouse(Op.CONV)
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
            if not self.due(begin):
                break
            limit = end
        drained = clock.finish[Op.DRAIN]
        while self._params:
            position, needed = self._params[0]
            if needed and not (len(drained) >= needed and self.due(drained[needed - 1] + 1)):
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
        if self.position >= self.awaited - TINY:
            self.awaited = inf
            self.clock.rouse(Op.CONV)
        while self._line and self.position >= self._line[0][0] - TINY:
            self._line.popleft()
            self.clock.complete(Op.WEIGHTS, self.clock.now)
