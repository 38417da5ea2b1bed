"""Event simulation of a program: when each descriptor starts and ends, without simulating cycles.

Between two events all rates are constant: four ports share the memory's beats fairly, the array
consumes weight blocks, POST produces beats.  An engine is looked at when a time it waits for has
come, or when another one rouses it by what it has done.  An event is the end of a descriptor, a
full or empty FIFO, or a wait that is met.  A program of a thousand descriptors has a few thousand
events.

::

    Fetch -> queues -> Loads, Weights   streams of beats, each limited by its FIFO
                       Array            blocks, limited by the weights that have arrived
                       Drain            a duration known in advance
                       Posts            beats produced, then written

Not modelled: which port the memory serves in which cycle (each gets its average share), and the
FIFO before an upsizer slower than the bus (arrays with fewer than 8 rows or columns).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from penstock.host.timing.clock import TINY, Clock, Engine, Work
from penstock.host.timing.engines import Array, Drain, Posts
from penstock.host.timing.latencies import Memory, Timing
from penstock.host.timing.read_ports import Fetch, Loads, Weights
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["EventSimulation"]


def _shares(demands: list[float], rate: float) -> list[float]:
    """Give each port its demand, or a fair share of the remaining rate; in beats per cycle."""
    if sum(demands) <= rate:
        return demands
    left = rate
    for ports, want in zip(range(len(demands), 0, -1), sorted(demands), strict=True):
        share = left / ports
        if want > share:
            return [want if want < share else share for want in demands]
        left -= want
    return demands


class EventSimulation:
    """The event simulation of one program.

    Parameters
    ----------
    work : iterable of Work
        Read as far as the fetcher prefetches.
    arch : Arch
    memory : Memory

    Members
    -------
    log : list of dict
        Counters at the end of each marked POST, by the names of `models.spec.regs.LOG_FIELDS`.
    array : Array
    """

    def __init__(self, work: Iterable[Work], arch: Arch, memory: Memory) -> None:
        timing = Timing(arch, memory)
        self.log: list[dict[str, float]] = []
        self.clock = clock = Clock(timing)
        clock.now = float(timing.start + timing.read)  # the first descriptor arrives
        self._rate = memory.rate
        self._fetch = Fetch(clock, work)
        self._loads = Loads(clock)
        self._weights = Weights(clock)
        self.array = Array(clock, self._weights)
        self._drain = Drain(clock, self.array)
        self._posts = Posts(clock)
        ports = (self._fetch, self._loads, self._weights)
        self._engines: tuple[Engine, ...] = (*ports, self.array, self._drain, self._posts)
        self._count = dict.fromkeys(("busy", "stall_input", "stall_weights", "stall_output"), 0.0)

    def run(self, allowed: float = inf, *, from_start: bool = False) -> bool:
        """Process all events, or stop when the array has lost more cycles than allowed.

        Parameters
        ----------
        allowed : float
            Cycles that the array may lose, waiting.
        from_start : bool
            Whether they count from the start bit, or from the array's first block.

        Returns
        -------
        bool
            Whether the program ended; False if the simulation was stopped.

        Raises
        ------
        ValueError
            If the program waits for an event that never happens.
        """
        engines = self._engines
        fetch, array, clock, posts = self._fetch, self.array, self.clock, self.clock.finish[Op.POST]
        while not (fetch.done and array.idle and len(posts) == fetch.posts):
            changed = True
            while changed:
                changed = False
                for engine in engines:
                    if engine.wake <= clock.now + TINY:
                        engine.wake = inf
                        while engine.settle():
                            changed = True
            self._advance()
            if array.lost - (0.0 if from_start else array.begin) > allowed:
                return False
        return True

    def _advance(self) -> None:
        """Compute the current rates and advance to the next event."""
        fetch, loads, weights = self._fetch, self._loads, self._weights
        array, posts, clock = self.array, self._posts, self.clock
        demands = [
            fetch.demand(),
            weights.demand(array.taken(), array.used()),
            loads.demand(),
            posts.demand(),
        ]
        d, w, a, o = _shares(demands, self._rate)
        cycles = min(
            fetch.until(d) if d else inf,
            weights.until(w) if w else inf,
            loads.until(a) if a else inf,
            posts.until(o),
            array.until(w),
            min([engine.wake for engine in self._engines]) - clock.now,
        )
        if cycles < 0.0:
            cycles = 0.0
        elif cycles == inf:
            raise ValueError("the program waits for a completion that never happens")
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
