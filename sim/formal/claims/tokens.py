# amaranth: UnusedElaboratable=no
"""Dependency tokens through the whole sequencer: queues, wait gates and counts of completed
descriptors.

A descriptor is handed out in program order, waits in its engine's queue, and starts when the
engines that it waits for have completed as many descriptors as it requires.  These precede it in
the program, so the oldest incomplete descriptor waits for nothing: it is claimed to start, whatever
the others do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value

from penstock.hw.core.fetch import Fetch
from penstock.hw.engines.descriptor import descriptor
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.isa import ENGINE_WAITS, FIELDS, Op
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, moves, outstanding, stays, tracked, within

__all__ = ["completion", "descriptors"]

_ARCH = replace(get_arch("tiny"), queue_depth=1)

# Width of the reduced counts; only their differences matter.
_COUNT_BITS = 4
_HALF = 1 << (_COUNT_BITS - 1)

# Most descriptors that an engine has in flight.
_ACTIVE = 2


class _AnyFetch(Fetch):
    """Descriptors for any engine, one at a time; each is offered until it is taken."""

    def __init__(self, *, arch: Arch, harness: Harness) -> None:
        self._late = harness.free(1, "late")
        self._which = harness.free(range(len(Op)), "which")
        self._payload = harness.free(max(descriptor(op).size for op in Op), "payload")
        self._ends = harness.free(1, "ends")
        super().__init__(arch=arch)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload = Signal(len(self._payload), reset_less=True)
        valid, taken, ended = Signal(len(Op)), Signal(), Signal()
        for index, (op, o) in enumerate(self.engines.items()):
            bits = descriptor(op).size
            m.d.comb += [o.payload.eq(payload[:bits]), o.valid.eq(valid[index])]
            with m.If(o.valid & o.ready):
                m.d.comb += taken.eq(1)
        with m.If(taken | (valid == 0)):
            m.d.sync += [
                valid.eq(Mux(self._late | ended | self._ends, 0, 1 << self._which)),
                payload.eq(self._payload),
                ended.eq(ended | self._ends),
            ]
        # It rises three cycles after the last one was taken; `ended` is one cycle late.
        late = Signal()
        m.d.sync += [late.eq(ended), self.finished.eq(late)]
        return m


class _World:
    """The sequencer with an unbounded program, and engines with any latency.

    Attributes
    ----------
    dut : Sequencer
    given : dict of Op to stream
        The descriptors handed out by the fetch.
    finished : Signal
        The fetch has handed out all.
    inside, open : dict of Op to Signal
        Descriptors handed out that have not started, and those that are not complete.
    """

    def __init__(self, hw: Any, h: Harness) -> None:
        made: list[_AnyFetch] = []

        def fetch(*, arch: Arch) -> _AnyFetch:
            made.append(_AnyFetch(arch=arch, harness=h))
            return made[-1]

        hw.Fetch = fetch
        hw._COUNT_BITS = _COUNT_BITS
        self.dut = hw.Sequencer(arch=_ARCH)
        h.m.submodules.dut = self.dut.elaborate(None)
        h.free_inputs(self.dut)
        self.given = made[0].engines
        self.finished = made[0].finished
        self.inside: dict[Op, Signal] = {}
        self.open: dict[Op, Signal] = {}
        for op in Op:
            name = op.name.lower()
            done, given, starts = self.dut.done[op], self.given[op], moves(self.dut.engines[op])
            # Engines complete only descriptors that they began.
            active = Signal(range(_ACTIVE + 1), name=f"active_{name}")
            h.m.d.sync += active.eq(active + starts - done)
            h.assume(~done | (active != 0))
            h.assume(~starts | (active != _ACTIVE))
            self.inside[op] = outstanding(h, moves(given), starts, 1, f"in the queue of {name}")
            self.open[op] = Signal(range(_ACTIVE + 2), name=f"open_{name}")
            h.m.d.comb += self.open[op].eq(self.inside[op] + active)


def completion(hw: Any) -> Harness:
    """Completions are neither lost nor invented, and the program ends with the last one."""
    h = Harness()
    world = _World(hw, h)
    dut = world.dut
    for op, count in dut.count.items():
        completed = Signal(_COUNT_BITS, name=f"completed_{op.name.lower()}")
        h.m.d.sync += completed.eq(completed + dut.done[op])
        h.claim(f"descriptors of {op.name} that were completed are counted", count == completed)
    ended = Signal(name="ended")
    h.m.d.comb += ended.eq(world.finished & ~Cat(n.any() for n in world.open.values()).any())
    h.claim("complete says that every descriptor is", ~dut.program.complete | ended)
    within(h, "complete comes when every descriptor is", 2, ~ended | dut.program.complete)
    two = before(h, world.open[Op.CONV] == 2, "two")
    seen = Signal(name="seen")
    with h.m.If(two):
        h.m.d.sync += seen.eq(1)
    h.cover("a program is complete in which an engine had two", dut.program.complete & seen)
    return h


def descriptors(hw: Any, *, op: Op) -> Harness:
    """An arbitrary descriptor of an engine, from the fetch to its start."""
    h = Harness()
    world = _World(hw, h)
    m, dut = h.m, world.dut
    given, o, inside = world.given[op], dut.engines[op], world.inside[op]
    stays(h, "the descriptor", o.valid, o.ready, _ends(o))
    tracked(
        h, inside, put=moves(given), given=_ends(given), got=moves(o), taken=[(o.valid, _ends(o))]
    )
    within(h, "an empty queue takes a descriptor", 2, (inside != 0) | ~given.valid | given.ready)

    # The picked descriptor: its waits, and how many handed out before it are incomplete.
    picks, waits = Signal(name="picks"), Signal(name="waits")
    m.d.comb += picks.eq(moves(given) & h.free(1, "picked_now") & ~waits)
    offered = waits & o.valid
    with m.If(picks):
        m.d.sync += waits.eq(1)
    with m.Elif(moves(o)):
        m.d.sync += waits.eq(0)
    left: dict[Op, Signal] = {}
    for other, n in world.open.items():
        left[other] = before_it = Signal.like(n, name=f"left_{other.name}")
        with m.If(picks):
            m.d.sync += before_it.eq(n - dut.done[other])
        with m.Elif(dut.done[other] & (before_it != 0)):
            m.d.sync += before_it.eq(before_it - 1)
        h.claim(f"{other.name}: what was open before it is open", ~waits | (before_it <= n))
    for wait in ENGINE_WAITS[op]:
        name = f"wait_{wait.name.lower()}"
        kept = Signal(_COUNT_BITS, name=f"kept_{name}", reset_less=True)
        handed, met, ahead, still = (
            Signal(_COUNT_BITS, name=f"{what}_{wait.name}")
            for what in ("handed", "met", "ahead", "still")
        )
        with m.If(picks):
            m.d.sync += kept.eq(given.p[name])
        m.d.comb += [
            handed.eq(dut.count[wait] + world.open[wait]),
            ahead.eq(handed - Mux(waits, kept, given.p[name][:_COUNT_BITS])),
            met.eq(dut.count[wait] - kept),
            still.eq(met + left[wait]),
        ]
        # It waits for earlier descriptors only, and no count gets half the range ahead.
        h.assume(~(picks | waits) | (ahead < _HALF))
        h.claim(f"{name} is as it was given", ~waits | (o.p[name][:_COUNT_BITS] == kept))
        h.claim(f"{name} is met when what was before it is complete", ~waits | (still < _HALF))
        h.claim(f"it does not start before {name} is met", ~offered | (met < _HALF))
    oldest = waits & ~Cat(n.any() for n in left.values()).any()
    within(h, "the oldest of all starts", 4, ~oldest | offered)
    waited = before(h, waits & ~oldest, "waited")
    h.cover("the oldest of all had to wait", offered & before(h, waited & oldest, "had_to_wait"))
    return h


def _ends(s: Any) -> Value:
    """The first bit after the opcode and the last one represent all bits."""
    payload = Value.cast(s.payload)
    return Cat(payload[FIELDS[Op.LOAD][0].width], payload[-1])
