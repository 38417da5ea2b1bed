"""A walk over a program's events: when each descriptor starts and ends, without simulating cycles.

Between two events everything moves at a constant rate: four ports share the memory's beats fairly,
the array takes weight blocks, POST makes beats.  An event is the end of a descriptor, a full or
empty FIFO, a wait that is met.  A program of a thousand descriptors has some thousand events.

::

    Fetch -> queues -> Loads, Weights   streams of beats, each limited by its FIFO
                       Array            blocks, limited by the weights that are there
                       Drain            a time known in advance
                       Posts            beats made, then beats written

Not in the model: which port the memory serves in which cycle (on average each has its share), and
the FIFO in front of an upsizer slower than the bus, of arrays with fewer than 8 rows or columns.
"""

from __future__ import annotations

from math import inf

from penstock.host.timing.clock import Clock, Work
from penstock.host.timing.engines import Array, Drain, Posts
from penstock.host.timing.latencies import Memory, Timing
from penstock.host.timing.read_ports import Fetch, Loads, Weights
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["Walk"]


def _shares(wants: list[float], rate: float) -> list[float]:
    """Give each port what it wants, or a fair share of what the others leave."""
    left = rate
    for ports, want in zip(range(len(wants), 0, -1), sorted(wants), strict=True):
        share = left / ports
        if want > share:
            return [want if want < share else share for want in wants]
        left -= want
    return wants


class Walk:
    """A program's events.

    Parameters
    ----------
    work : list of Work
    arch : Arch
    memory : Memory

    Members
    -------
    log : list of dict
        Counters at the end of each marked POST, as `models.spec.regs.LOG_FIELDS` names them.
    array : Array
    """

    def __init__(self, work: list[Work], arch: Arch, memory: Memory) -> None:
        timing = Timing(arch, memory)
        self.log: list[dict[str, float]] = []
        self.clock = clock = Clock(timing)
        clock.now = float(timing.start + timing.read)  # the first descriptor arrives
        self._rate = memory.rate
        self._posts_in_all = sum(item.op is Op.POST for item in work)
        self._fetch = Fetch(clock, work)
        self._loads = Loads(clock)
        self._weights = Weights(clock)
        self.array = Array(clock, self._weights)
        self._drain = Drain(clock, self.array)
        self._posts = Posts(clock)
        self._count = dict.fromkeys(("busy", "stall_input", "stall_weights", "stall_output"), 0.0)

    def run(self) -> None:
        """Go through all events.

        Raises
        ------
        ValueError
            If the program waits for something that never comes.
        """
        engines = (self._fetch, self._loads, self._weights, self.array, self._drain, self._posts)
        settle = [engine.settle for engine in engines]
        fetch, array, clock, posts = self._fetch, self.array, self.clock, self.clock.finish[Op.POST]
        while not (fetch.done and array.idle and len(posts) == self._posts_in_all):
            clock.wake = inf
            changed = True
            while changed:
                changed = False
                for step in settle:
                    if step():
                        changed = True
            self._advance()

    def _advance(self) -> None:
        """Find the rates that hold now, and go on to the next event."""
        fetch, loads, weights = self._fetch, self._loads, self._weights
        array, posts, clock = self.array, self._posts, self.clock
        wants = [
            fetch.want(),
            weights.want(array.taken(), array.used()),
            loads.want(),
            posts.want(),
        ]
        d, w, a, o = _shares(wants, self._rate)
        cycles = min(
            fetch.until(d) if d else inf,
            weights.until(w) if w else inf,
            loads.until(a) if a else inf,
            posts.until(o),
            array.until(w),
            clock.wake - clock.now,
        )
        if cycles < 0.0:
            cycles = 0.0
        elif cycles == inf:
            raise ValueError("the program waits for something that never comes")
        clock.now += cycles
        count, state = self._count, array.state
        if state == "run":
            busy = array.advance(cycles)
            count["busy"] += busy
            count["stall_weights"] += cycles - busy
        elif state != "idle":
            count[state] += cycles
        # What nothing came of, stays as it is.
        if d:
            fetch.advance(d * cycles)
        if w:
            weights.advance(w * cycles)
        if a:
            loads.advance(a * cycles)
        posts.advance(o * cycles, cycles)
        while posts.marks:
            self._mark(posts.marks.popleft())

    def _mark(self, moment: float) -> None:
        read = self._fetch.position + self._loads.position + self._weights.position
        self.log.append(
            {
                "cycles": moment,
                **self._count,
                "read_beats": read,
                "write_beats": self._posts.position,
            }
        )
