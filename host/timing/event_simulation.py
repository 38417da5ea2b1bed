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

from penstock.host.timing.clock import Clock, Work
from penstock.host.timing.engines import Array, Drain, Posts
from penstock.host.timing.latencies import Memory, Timing
from penstock.host.timing.read_ports import Fetch, Loads, Weights
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["Walk"]


def _shares(wants: list[float], rate: float) -> list[float]:
    """Give each port what it wants, or a fair share of what the others leave."""
    if sum(wants) <= rate:
        return wants
    if wants.count(0.0) == len(wants) - 1:  # the usual case
        return [min(want, rate) for want in wants]
    result = [0.0] * len(wants)
    order = sorted(range(len(wants)), key=wants.__getitem__)
    for index, port in enumerate(order):
        result[port] = min(wants[port], rate / (len(order) - index))
        rate -= result[port]
    return result


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
        while not self._finished():
            self.clock.wake = float("inf")
            changed = True
            while changed:
                changed = False
                for step in settle:
                    changed = step() or changed
            self._advance()

    def _finished(self) -> bool:
        posts = len(self.clock.finish[Op.POST])
        return self._fetch.done and posts == self._posts_in_all and self.array.idle

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
            fetch.until(d), weights.until(w), loads.until(a), posts.until(o), array.until(w)
        )
        cycles = max(min(cycles, clock.wake - clock.now), 0.0)
        if cycles == float("inf"):
            raise ValueError("the program waits for something that never comes")
        clock.now += cycles
        state = array.state
        busy = array.advance(cycles)
        self._count["busy"] += busy
        if state == "run":
            self._count["stall_weights"] += cycles - busy
        elif state in self._count:
            self._count[state] += cycles
        fetch.advance(d * cycles)
        weights.advance(w * cycles)
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
