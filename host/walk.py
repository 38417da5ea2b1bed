"""A walk over a program's events: when each descriptor starts and ends, without simulating cycles.

Between two events everything moves at a constant rate: four ports share the memory's beats fairly,
the array takes weight blocks, POST makes beats.  An event is the end of a descriptor, a full or
empty FIFO, a wait that is met.  A program of a thousand descriptors has some thousand events.

::

    fetch -> queues -> LOAD, WEIGHTS   (streams of beats, each limited by its FIFO)
                       CONV            (blocks, limited by the weights that are there)
                       DRAIN           (a fixed time)
                       POST            (beats made, then beats written)
"""

from __future__ import annotations

from collections import deque
from math import inf

from host.timing import BEAT, Memory, Timing, Work, block_cycles
from models.arch import Arch
from models.isa import DESCRIPTOR_BYTES, Op

__all__ = ["Walk", "Work"]

_DESC = DESCRIPTOR_BYTES // BEAT
_TINY = 1e-6

LOAD, WEIGHTS, CONV, DRAIN, POST = Op.LOAD, Op.WEIGHTS, Op.CONV, Op.DRAIN, Op.POST


def _shares(wants: list[float], rate: float) -> list[float]:
    """Give each port what it wants, or a fair share of what the others leave."""
    if sum(wants) <= rate:
        return wants
    result = [0.0] * len(wants)
    left = rate
    order = sorted(range(len(wants)), key=wants.__getitem__)
    for index, port in enumerate(order):
        result[port] = min(wants[port], left / (len(order) - index))
        left -= result[port]
    return result


class Walk:
    """Runs a program's events.

    Parameters
    ----------
    work : list of Work
    arch : Arch
    memory : Memory

    Members
    -------
    log : list of dict
        A snapshot of the counters at each marked POST's end, as `models.regs.LOG_FIELDS` names
        them.
    array_begin, array_end : float
        When the first weight block begins and the last one ends.
    """

    def __init__(self, work: list[Work], arch: Arch, memory: Memory) -> None:
        self.work = work
        self.arch = arch
        self.time = Timing(arch, memory)
        self.rate = memory.rate
        self.log: list[dict[str, float]] = []
        self.now = float(self.time.start + self.time.read)  # the first descriptor arrives
        self.wake = inf
        # Descriptors handed out and still in their queues: when the engine sees them.
        self.queues: dict[Op, deque[tuple[Work, float]]] = {op: deque() for op in Op}
        self.finish: dict[Op, list[float]] = {op: [] for op in Op}
        self.last_take = dict.fromkeys(Op, -inf)
        # Fetch.
        self.handed = 0
        self.hand_time = 0.0
        self.d_pos = 0.0
        self.d_seen = -1.0
        # LOAD's stream: descriptors taken, (end position, work, start of its data).
        self.a_pos = 0.0
        self.a_end = 0.0
        self.a_limit = 0.0
        self.loads: deque[tuple[float, Work, float]] = deque()
        # WEIGHTS' stream; `tiles` maps blocks to positions.
        self.w_pos = 0.0
        self.w_end = 0.0
        self.w_limit = 0.0
        self.w_rate = 0.0
        self.weights: deque[tuple[float, float, float]] = deque()  # start, end, data from
        self.params: deque[tuple[float, int]] = deque()  # position, drains needed
        self.params_seen = 0
        self.tiles: deque[list[float]] = deque()  # position of the next block, blocks left
        # CONV.
        self.conv: Work | None = None
        self.conv_blocks = 0
        self.conv_done = 0.0
        self.conv_period = 1
        self.conv_positions = 1
        self.conv_base = 0.0
        self.conv_state = "idle"
        self.conv_free = 0.0  # when the next descriptor's first block may begin
        self.conv_ready = inf  # when the current one may begin
        self.weights_at = inf
        self.tiles_begun = 0
        self.tile_ends: deque[float] = deque()
        # DRAIN.
        self.drain_free = 0.0
        # POST: made and sent beats.
        self.p_pos = 0.0
        self.p_end = 0.0
        self.p_rate = 0.0
        self.p_from = inf
        self.o_pos = 0.0
        self.o_limit = 0.0
        self.post: Work | None = None
        self.post_free = 0.0
        self.flushes: deque[tuple[float, float]] = deque()  # time, position
        self.sent: deque[tuple[float, Work]] = deque()  # end position, work
        self.array_begin = inf
        self.array_end = 0.0
        # Counters.
        self.count = dict.fromkeys(
            ("busy", "stall_input", "stall_weights", "stall_output", "stall_memory"), 0.0
        )

    # What waits for what

    def _open(self, op: Op) -> float | None:
        """When the engine sees its next descriptor; None if that is not known yet."""
        queue = self.queues[op]
        if not queue:
            return None
        work, seen = queue[0]
        seen = max(seen, self.last_take[op] + 2)
        for engine, count in work.waits:
            done = self.finish[engine]
            if len(done) < count:
                return None
            seen = max(seen, done[count - 1] + self.time.counted)
        return seen

    def _due(self, moment: float) -> bool:
        """Whether a moment has come; if not, wake up then."""
        if moment <= self.now + _TINY:
            return True
        self.wake = min(self.wake, moment)
        return False

    def _take(self, op: Op) -> Work:
        self.last_take[op] = self.now
        return self.queues[op].popleft()[0]

    def _fetch(self) -> bool:
        if self.handed == len(self.work):
            return False
        if self.d_seen < 0:
            if self.d_pos < _DESC * (self.handed + 1) - _TINY:
                return False
            self.d_seen = self.now
        if not self._due(max(self.d_seen + self.time.hand_out, self.hand_time)):
            return False
        work = self.work[self.handed]
        if len(self.queues[work.op]) >= self.time.queue:
            return False
        self.queues[work.op].append((work, self.now + self.time.gate))
        self.handed += 1
        self.hand_time = self.now + self.time.between
        self.d_seen = -1.0
        return True

    def _load(self) -> bool:
        moment = self._open(LOAD)
        if moment is None or len(self.loads) >= self.time.ahead:
            return False
        if self.loads and self.a_end - self.a_pos > self.time.fifo + self.time.commands * (
            self.loads[-1][1].values["plane_beats"]
        ):
            return False
        if not self._due(moment):
            return False
        work = self._take(LOAD)
        self.a_end += work.values["plane_beats"] * work.values["planes"]
        self.loads.append((self.a_end, work, self.now + self.time.read))
        return True

    def _weights(self) -> bool:
        moment = self._open(WEIGHTS)
        if moment is None or len(self.weights) >= self.time.ahead or not self._due(moment):
            return False
        v = self._take(WEIGHTS).values
        params = self.time.params_beats * v["has_params"]
        if params:
            self.params.append((self.w_end, self.params_seen - 1))
            self.params_seen += 1
        self.tiles.append([self.w_end + params, v["blocks"], self.params_seen - 2 if params else 0])
        self.weights.append((self.w_end, self.w_end + v["beats"], self.now + self.time.read))
        self.w_end += v["beats"]
        return True

    def _conv(self) -> bool:
        if self.conv is None:
            if not self.queues[CONV]:
                self.conv_state = "idle"
                return False
            moment = self._open(CONV)
            self.conv_state = "stall_input"
            if moment is None or not self._due(max(moment, self.conv_free - self.time.begin)):
                if moment is not None and moment <= self.now + _TINY:
                    self.conv_state = "stall_weights"  # the last block's weights are in the way
                return False
            self.conv = work = self._take(CONV)
            v = work.values
            self.conv_blocks = v["n_cb"] * v["n_ky"] * v["n_kx"]
            self.conv_positions = (v["more_images"] + 1) * v["n_y"] * v["n_x"]
            self.conv_period = block_cycles(self.conv_positions, self.arch)
            self.conv_done = 0.0
            self.conv_ready = max(moment + self.time.begin, self.conv_free)
            self.weights_at = inf
            self.conv_state = "begin"
            return True
        if self.conv_state == "run":
            return False
        v = self.conv.values
        if not self.tiles:
            self.conv_state = "stall_weights"
            return False
        if self.weights_at == inf:
            if self.w_pos < self.tiles[0][0] + self.time.block_beats - _TINY:
                self.conv_state = "stall_weights"
                return False
            # What has been there for long needs no time any more.
            self.weights_at = self.now
            if self.conv_state != "begin":
                self.weights_at += self.time.weights
        needed = int(self.tiles[0][2])
        if needed > 0:
            # Weights queue behind parameters whose bank is in use.
            drained = self.finish[DRAIN]
            if len(drained) < needed:
                self.conv_state = "stall_weights"
                return False
            free = drained[needed - 1] + 1
            late = free + self.time.params_beats + self.time.block_beats + self.time.weights - 3
            self.weights_at = max(self.weights_at, late)
            self.tiles[0][2] = 0
        moment = max(self.conv_ready, self.weights_at)
        if v["first"] and self.tiles_begun >= 2:
            drained = self.finish[DRAIN]
            if len(drained) < self.tiles_begun - 1:
                self.conv_state = "stall_output"
                return False
            free = drained[self.tiles_begun - 2] + 1
            if not self._due(max(moment, free)):
                self.conv_state = "stall_output" if free > moment else "stall_weights"
                return False
        elif not self._due(moment):
            self.conv_state = "stall_weights"
            return False
        self.tiles_begun += v["first"]
        self.conv_base = self.tiles[0][0]
        self.conv_state = "run"
        self.array_begin = min(self.array_begin, self.now)
        return True

    def _conv_end(self) -> None:
        """The last block's period is over."""
        assert self.conv is not None
        # The last word is issued before that if weights set the pace.
        end = self.now - self.conv_period + self.conv_positions
        self.finish[CONV].append(end + 1)
        self.array_end = end
        if self.conv.values["last"]:
            self.tile_ends.append(end + self.time.filled)
        tile = self.tiles[0]
        tile[0] += self.conv_blocks * self.time.block_beats
        tile[1] -= self.conv_blocks
        if tile[1] <= 0:
            self.tiles.popleft()
        self.conv_free = self.now
        self.conv = None

    def _drain(self) -> bool:
        if not self.tile_ends:
            return False
        moment = self._open(DRAIN)
        if moment is None or not self._due(max(moment, self.tile_ends[0], self.drain_free)):
            return False
        self.tile_ends.popleft()
        v = self._take(DRAIN).values
        end = self.now + v["count"] * v["groups"] + self.time.drained
        self.finish[DRAIN].append(end)
        self.drain_free = end + 1
        return True

    def _post(self) -> bool:
        changed = False
        while self.flushes and self._due(self.flushes[0][0]):
            self.o_limit = max(self.o_limit, self.flushes.popleft()[1])
            changed = True
        if self.post is not None:
            if self.p_rate == 0 and self._due(self.p_from):
                first, last, beats = self.time.post_cycles(self.post.values)
                self.p_rate = beats / max(last - first + 1, 1)
                changed = True
            return changed
        moment = self._open(POST)
        if moment is None or not self._due(max(moment, self.post_free)):
            return changed
        waiting = len(self.finish[POST]) - self.time.unacknowledged + len(self.sent)
        if waiting >= len(self.finish[POST]):
            return changed
        if waiting >= 0 and not self._due(self.finish[POST][waiting] + 1):
            return changed
        self.post = work = self._take(POST)
        self.p_from = self.now + self.time.post_cycles(work.values)[0]
        self.p_rate = 0.0
        self.p_end += work.values["beats"]
        self.sent.append((self.p_end, work))
        self._due(self.p_from)
        return True

    # Rates

    def _advance(self) -> None:
        """Find the rates that hold now, and go on to the next event."""
        time = self.time
        step = self.wake - self.now
        # Limits.
        d_goal = min(_DESC * len(self.work), _DESC * (self.handed + 1) + time.fifo)
        d_on = self.d_pos < d_goal - _TINY
        a_on = False
        if self.loads:
            end, work, begin = self.loads[0]
            if begin <= self.now + _TINY:
                a_on = True
                a_cap = time.load_rate(work.values)
            else:
                step = min(step, begin - self.now)
        run = self.conv is not None and self.conv_state == "run"
        block = time.block_beats
        # How far weights may come: what was asked for, the parameters' banks, the FIFOs.
        w_limit = self.w_pos
        for _, end, begin in self.weights:
            if begin > self.now + _TINY:
                step = min(step, begin - self.now)
                break
            w_limit = end
        for position, needed in self.params:
            if needed <= 0:
                continue
            drained = self.finish[DRAIN]
            if len(drained) >= needed and drained[needed - 1] + 1 <= self.now + _TINY:
                continue
            if len(drained) >= needed:
                step = min(step, drained[needed - 1] + 1 - self.now)
            w_limit = min(w_limit, position + time.fifo)
            break
        while self.params and self.params[0][0] + time.params_beats <= self.w_pos - time.fifo:
            self.params.popleft()
        w_trickle = 0.0
        room = inf
        if self.tiles:
            taken = self.tiles[0][0]
            if run:
                taken = self.conv_base + (self.conv_done + 1) * block
                taken = min(taken, self.conv_base + self.conv_blocks * block)
            room = taken + block + time.weight_beats + time.fifo
        w_want = 0.0
        speed = 1.0 / self.conv_period if run else 0.0
        starved = False
        if run:
            need = self.conv_base + min(self.conv_done + 1, self.conv_blocks) * block
            starved = self.w_pos < need + _TINY and self.conv_done + 1 < self.conv_blocks - _TINY
        if self.w_pos < w_limit - _TINY:
            if self.w_pos < room - _TINY:
                w_want = time.weight_rate
            else:
                w_want = min(time.weight_rate, speed * block)
                w_trickle = w_want
        # POST.
        making = self.p_rate if self.post is not None else 0.0
        backlog = self.p_pos - self.o_pos
        full = backlog >= time.write_fifo - _TINY
        # A burst is written when all its beats are there: half a burst behind on average.
        lag = self.o_limit - self.o_pos
        o_want = 1.0 if lag > _TINY else 0.0
        if making and not o_want:
            lag = self.p_pos - BEAT - self.o_pos
            o_want = 1.0 if lag > _TINY else min(making, 1.0) if lag > -_TINY else 0.0
        wants = [1.0 if d_on else 0.0, w_want, a_cap if a_on else 0.0, o_want]
        d_rate, w_rate, a_rate, o_rate = _shares(wants, self.rate)
        if full:
            making = min(making, o_rate)
        # Steps to the next event.
        if d_on:
            goal = min(d_goal, _DESC * (self.handed + 1) if self.d_seen < 0 else d_goal)
            if goal <= self.d_pos:
                goal = d_goal
            step = min(step, (goal - self.d_pos) / d_rate)
        if a_on:
            step = min(step, (self.loads[0][0] - self.a_pos) / a_rate)
            if len(self.loads) < time.ahead and self.queues[LOAD]:
                mark = self.a_end - time.fifo - time.commands * (
                    self.loads[-1][1].values["plane_beats"]
                )
                if mark > self.a_pos + _TINY:
                    step = min(step, (mark - self.a_pos) / a_rate)
        if w_rate:
            step = min(step, (w_limit - self.w_pos) / w_rate)
            if self.tiles and self.conv is not None and not run and self.weights_at == inf:
                goal = self.tiles[0][0] + block - self.w_pos
                if goal > 0:
                    step = min(step, goal / w_rate)
            if not w_trickle and w_rate > speed * block:
                step = min(step, (room - self.w_pos) / (w_rate - speed * block))
        if run:
            if starved:
                speed = min(speed, w_rate / block)
            elif w_rate < speed * block and self.conv_done + 1 < self.conv_blocks - _TINY:
                slack = self.w_pos - need
                last = self.conv_base + self.conv_blocks * block
                if self.w_pos < last - _TINY and slack > 0:
                    step = min(step, slack / (speed * block - w_rate))
            if speed:
                step = min(step, (self.conv_blocks - self.conv_done) / speed)
                if starved:
                    step = min(step, (self.conv_blocks - 1 - self.conv_done) / speed)
        if making:
            step = min(step, (self.p_end - self.p_pos) / making)
            if not full and making > o_rate:
                step = min(step, (time.write_fifo - backlog) / (making - o_rate))
        if o_rate:
            if self.sent:
                step = min(step, (self.sent[0][0] - self.o_pos) / o_rate)
            if self.o_limit - self.o_pos > _TINY:
                step = min(step, lag / o_rate)
            elif lag > _TINY and o_rate > making:
                step = min(step, lag / (o_rate - making))
        elif making:
            step = min(step, (_TINY - lag) / making)
        if step == inf:
            raise ValueError(f"the program waits for something that never comes: { {k:v for k,v in self.__dict__.items() if k!='work'} }"[:6000])
        step = max(step, 0.0)
        # Go.
        self.now += step
        self.d_pos += d_rate * step
        self.a_pos += a_rate * step
        self.w_pos += w_rate * step
        self.o_pos += o_rate * step
        self.p_pos += making * step
        if run:
            self.conv_done += speed * step
            part = speed * step * self.conv_positions
            self.count["busy"] += part
            self.count["stall_weights"] += step - part
        elif self.conv_state in self.count:
            self.count[self.conv_state] += step
        self._ends()

    def _ends(self) -> None:
        """Complete what has come to its end."""
        time = self.time
        if self.loads and self.a_pos >= self.loads[0][0] - _TINY:
            self.a_pos = self.loads[0][0]
            self.loads.popleft()
            self.finish[LOAD].append(self.now + time.loaded)
        while self.weights and self.w_pos >= self.weights[0][1] - _TINY:
            self.weights.popleft()
            self.finish[WEIGHTS].append(self.now)
        if (
            self.conv is not None
            and self.conv_state == "run"
            and self.conv_done >= self.conv_blocks - _TINY
        ):
            self._conv_end()
        if self.post is not None and self.p_rate and self.p_pos >= self.p_end - _TINY:
            self.p_pos = self.p_end
            self.flushes.append((self.now + time.flush, self.p_end))
            self.post = None
            self.p_rate = 0.0
            self.post_free = self.now + 1
        while self.sent and self.o_pos >= self.sent[0][0] - _TINY:
            work = self.sent.popleft()[1]
            self.finish[POST].append(self.now + time.written)
            if work.values["mark"]:
                self._mark(self.now + time.written)

    def _mark(self, moment: float) -> None:
        self.log.append(
            {
                "cycles": moment,
                **self.count,
                "read_beats": self.d_pos + self.a_pos + self.w_pos,
                "write_beats": self.o_pos,
            }
        )

    def run(self) -> None:
        """Go through all events.

        Raises
        ------
        ValueError
            If the program waits for something that never comes.
        """
        total = {op: sum(work.op is op for work in self.work) for op in Op}
        while True:
            self.wake = inf
            changed = True
            while changed:
                changed = self._fetch()
                changed |= self._load()
                changed |= self._weights()
                changed |= self._conv()
                changed |= self._drain()
                changed |= self._post()
            if len(self.finish[POST]) == total[POST] and self.handed == len(self.work) and not (
                self.conv or self.loads or self.tile_ends
            ):
                return
            self._advance()
