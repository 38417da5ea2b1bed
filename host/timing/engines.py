"""The simulated engines after the read ports: array, drain, and POST with its writes."""

from __future__ import annotations

from collections import deque
from math import inf

from penstock.host.timing.clock import TINY, Clock, Engine, Work
from penstock.host.timing.latencies import BEAT, block_cycles
from penstock.host.timing.read_ports import Weights
from penstock.models.spec.isa import Op

__all__ = ["Array", "Drain", "Posts"]


class Array(Engine):
    """CONV: weight blocks, one each `period` cycles unless the next one is late.

    Members
    -------
    state : str
        ``run``, ``idle``, or the stall counter that counts now, such as ``stall_input``.
    tile_ends : deque of float
        When the drain sees each completed tile.
    begin, end : float
        Start of the first block and end of the last one so far.
    lost : float
        Cycles since the start bit in which no block ran, up to the last begin or end of a CONV.
    positions, period : int
        Words per block, and cycles per block.
    """

    def __init__(self, clock: Clock, weights: Weights) -> None:
        super().__init__(clock, Op.CONV)
        self.weights = weights
        self.state = "idle"
        self.tile_ends: deque[float] = deque()
        self.begin = inf
        self.end = 0.0
        self.lost = 0.0
        self._spent = 0  # cycles of all complete blocks
        self.positions = 1
        self.period = 1
        self._work: Work | None = None
        self._blocks = 0
        self._done = 0.0
        self._base = 0.0  # position of the first block's weights, in beats
        self._free = 0.0  # when the previous block ends
        self._ready = inf  # when the descriptor's first block may begin
        self._arrived: float | None = None  # when its weights were in place
        self._begun = 0  # tiles begun
        self._speed = 0.0

    @property
    def idle(self) -> bool:
        """Whether it has no descriptor."""
        return self._work is None

    def settle(self) -> bool:
        """Take a descriptor, or begin its first block, if due."""
        if self._work is None:
            return self._take()
        if self.state == "run":
            return False
        return self._start(self._work)

    def _take(self) -> bool:
        clock, timing = self.clock, self.clock.timing
        if not clock.queues[Op.CONV]:
            self.state = "idle"
            return False
        self.state = "stall_input"
        moment = clock.seen(Op.CONV)
        if moment is None or not self.due(moment):
            return False
        self._work = clock.take(Op.CONV)
        v = self._work.values
        self._blocks = v["n_cb"] * v["n_ky"] * v["n_kx"]
        self._done = 0.0
        self.positions = (v["more_images"] + 1) * v["n_y"] * v["n_x"]
        self.period = block_cycles(self.positions, timing.arch)
        self._ready = max(moment + timing.begin, self._free)
        self._arrived = None
        return True

    def _start(self, work: Work) -> bool:
        """Begin the first block when its weights have arrived and a bank is free."""
        clock, timing = self.clock, self.clock.timing
        waiting, self.state = self.state, "stall_weights"
        if not self.weights.tiles:
            return False
        base, _, needed = self.weights.tiles[0]
        if self._arrived is None:
            if self.weights.position < base + timing.block_beats - TINY:
                self.weights.awaited = base + timing.block_beats
                return False
            # Weights that arrived earlier are already through the pipeline.
            late = waiting == "stall_weights"
            self._arrived = clock.now + (timing.weights if late else 0)
        drained = clock.finish[Op.DRAIN]
        moment = max(self._ready, self._arrived)
        if needed:
            # They follow parameters that had to wait for a bank.
            if len(drained) < needed:
                return False
            behind = timing.params_beats + timing.block_beats + timing.weights - 3
            moment = max(moment, drained[int(needed) - 1] + 1 + behind)
        if work.values["first"] and self._begun >= 2:
            if len(drained) < self._begun - 1:
                self.state = "stall_output"
                return False
            bank = drained[self._begun - 2] + 1
            if bank > moment:
                self.state = "stall_output"
                moment = bank
        if not self.due(moment):
            return False
        self._begun += work.values["first"]
        self._base = base
        self.state = "run"
        self.begin = min(self.begin, clock.now)
        self.lost = clock.now - self._spent
        return True

    def taken(self) -> float:
        """Beats that have left the weight FIFO: the array holds one block ahead."""
        if not self.weights.tiles:
            return inf
        block = self.clock.timing.block_beats
        if self.state != "run":
            return self.weights.tiles[0][0] + block
        return self._base + (min(self._done + 1, self._blocks) + 1) * block

    def used(self) -> float:
        """Beats of weights per cycle at full speed."""
        return self.clock.timing.block_beats / self.period if self.state == "run" else 0.0

    def until(self, rate: float) -> float:
        """Return for how many cycles the pace holds, with weights at `rate` beats per cycle."""
        block = self.clock.timing.block_beats
        position = self.weights.position
        if self.state != "run":
            if self._work is None or self._arrived is not None or not self.weights.tiles:
                return inf
            missing = self.weights.tiles[0][0] + block - position
            return missing / rate if rate and missing > 0 else inf
        speed = 1.0 / self.period
        last = self._done + 1 >= self._blocks - TINY
        need = self._base + (self._done + 1) * block
        step = inf
        if not last and position < need + TINY:
            speed = min(speed, rate / block)
            step = (self._blocks - 1 - self._done) / speed if speed else inf
        elif not last and rate < speed * block and position < self._base + self._blocks * block:
            step = (position - need) / (speed * block - rate)
        self._speed = speed
        return min(step, (self._blocks - self._done) / speed) if speed else step

    def advance(self, cycles: float) -> float:
        """Advance; return the cycles in which words entered the array."""
        if self.state != "run":
            return 0.0
        done = self._speed * cycles
        self._done += done
        if self._done >= self._blocks - TINY:
            self._finish()
        return done * self.positions

    def _finish(self) -> None:
        assert self._work is not None
        clock = self.clock
        # If weights limit the rate, the last word is issued before the period ends.
        self.end = clock.now - self.period + self.positions
        self._spent += self._blocks * self.period
        self.lost = clock.now - self._spent
        clock.complete(Op.CONV, self.end + 1)
        if self._work.values["last"]:
            self.tile_ends.append(self.end + clock.timing.filled)
            clock.rouse(Op.DRAIN)
        tile = self.weights.tiles[0]
        tile[0] += self._blocks * clock.timing.block_beats
        tile[1] -= self._blocks
        tile[2] = 0
        if tile[1] <= 0:
            self.weights.tiles.popleft()
        self._free = clock.now
        self._work = None
        self.state = "idle"


class Drain(Engine):
    """DRAIN: its duration is known when it begins."""

    def __init__(self, clock: Clock, array: Array) -> None:
        super().__init__(clock, Op.DRAIN)
        self.array = array
        self._free = 0.0

    def settle(self) -> bool:
        """Take the next descriptor, if due."""
        clock = self.clock
        ends = self.array.tile_ends
        if not ends:
            return False
        moment = clock.seen(Op.DRAIN)
        if moment is None or not self.due(max(moment, ends[0], self._free)):
            return False
        ends.popleft()
        v = clock.take(Op.DRAIN).values
        end = clock.now + v["count"] * v["lane_groups"] + clock.timing.drained
        clock.complete(Op.DRAIN, end)
        self._free = end + 1
        return True


class Posts(Engine):
    """POST: beats produced at the rate of the window scan, then written.

    Members
    -------
    position : float
        Beats written.
    marks : deque of float
        Completion times of marked descriptors that `run` has not logged yet.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, Op.POST)
        self.position = 0.0
        self.marks: deque[float] = deque()
        self._work: Work | None = None
        self._made = 0.0
        self._end = 0.0
        self._pace = 0.0  # beats produced per cycle, 0 before the first one
        self._begin = inf
        self._free = 0.0
        self._flushed = 0.0  # whole bursts are complete up to this position
        self._flushes: deque[tuple[float, float]] = deque()  # time, position
        self._line: deque[tuple[float, Work]] = deque()  # end position, descriptor
        self._lag = 0.0
        self._making = 0.0

    def settle(self) -> bool:
        """Take the next descriptor, start producing beats, release final bursts."""
        clock, timing = self.clock, self.clock.timing
        changed = False
        while self._flushes and self.due(self._flushes[0][0]):
            self._flushed = max(self._flushed, self._flushes.popleft()[1])
            changed = True
        if self._work is not None:
            if self._pace or not self.due(self._begin):
                return changed
            first, last, beats = timing.post_cycles(self._work.values)
            self._pace = beats / max(last - first + 1, 1)
            return True
        moment = clock.seen(Op.POST)
        if moment is None or not self.due(max(moment, self._free)):
            return changed
        done = clock.finish[Op.POST]
        oldest = len(done) + len(self._line) - timing.unacknowledged
        if oldest >= 0 and (oldest >= len(done) or not self.due(done[oldest] + 1)):
            return changed
        self._work = clock.take(Op.POST)
        v = self._work.values
        self._begin = clock.now + timing.post_cycles(v)[0]
        self._pace = 0.0
        self._end += v["beats"]
        self._line.append((self._end, self._work))
        return True

    def demand(self) -> float:
        # A burst is written when all its beats are produced: half a burst late on average.
        self._lag = self._flushed - self.position
        if self._lag > TINY:
            return 1.0
        if not self._pace:
            return 0.0
        self._lag = self._made - BEAT - self.position
        if self._lag > TINY:
            return 1.0
        return min(self._pace, 1.0) if self._lag > -TINY else 0.0

    def until(self, rate: float) -> float:
        step = inf
        room = self._made - self.position < self.clock.timing.write_fifo - TINY
        self._making = self._pace if room else min(self._pace, rate)
        if self._making:
            step = (self._end - self._made) / self._making
            if room and self._making > rate:
                backlog = self._made - self.position
                step = min(step, (self.clock.timing.write_fifo - backlog) / (self._making - rate))
        if rate:
            step = min(step, (self._line[0][0] - self.position) / rate)
            if self._flushed - self.position > TINY:
                step = min(step, self._lag / rate)
            elif self._lag > TINY and rate > self._making:
                step = min(step, self._lag / (rate - self._making))
        elif self._making and self._lag < 0:
            step = min(step, (TINY - self._lag) / self._making)
        return step

    def advance(self, beats: float, cycles: float) -> None:
        clock, timing = self.clock, self.clock.timing
        self.position += beats
        self._made += self._making * cycles
        if self._pace and self._made >= self._end - TINY:
            self._made = self._end
            self._flushes.append((clock.now + timing.flush, self._end))
            self._work = None
            self._pace = 0.0
            self._free = clock.now + 1
            self.wake = -inf
        while self._line and self.position >= self._line[0][0] - TINY:
            work = self._line.popleft()[1]
            clock.complete(Op.POST, clock.now + timing.written)
            if work.values["mark"]:
                self.marks.append(clock.now + timing.written)
