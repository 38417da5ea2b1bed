"""Wait gates: a descriptor starts as soon as, and not before, its dependencies are complete."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Signal, Value

from penstock.models.spec.isa import ENGINE_WAITS, Op
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, moves, stays, within

__all__ = ["gate"]


def gate(hw: Any, *, op: Op) -> Harness:
    """Environment: arbitrary waits and counts; a condition that was met may even become unmet."""
    h = Harness()
    h.m.submodules.dut = dut = hw.Gate(op=op)
    met = []
    for wait in ENGINE_WAITS[op]:
        name = wait.name.lower()
        count = getattr(dut, f"count_{name}")
        h.m.d.comb += count.eq(h.free(len(count), f"count_{name}"))
        ahead = Signal(len(count), name=f"ahead_{name}")
        h.m.d.comb += ahead.eq(count - dut.i.p[f"wait_{name}"])
        met.append(ahead < 1 << 15)
    i = dut.i
    for part in (i.valid, i.payload, dut.o.ready):
        target = Value.cast(part)
        h.m.d.comb += target.eq(h.free(len(target), "given"))
    waits = before(h, i.valid & ~i.ready, "given_waits")
    h.assume(~waits | (i.valid & (Value.cast(i.payload) == before(h, i.payload, "given"))))

    stays(h, "the descriptor", dut.o.valid, dut.o.ready, dut.o.payload)
    ready = Signal(name="ready")
    h.m.d.comb += ready.eq(Cat(*met).all() if met else 1)
    opens = dut.o.valid & ~before(h, dut.o.valid, "open")
    h.claim("nothing starts before what it waits for", ~opens | before(h, ready, "met"))
    h.claim(
        "what starts is what was given",
        ~dut.o.valid | (i.valid & (Value.cast(dut.o.payload) == Value.cast(i.payload))),
    )
    taken = before(h, moves(dut.o), "taken")
    h.claim("each starts once", i.ready == taken)
    within(h, "what may start does", 2, ~(i.valid & ready) | dut.o.valid | i.ready)
    h.cover("one starts", moves(dut.o))
    if met:
        h.cover("one waits, then starts", moves(dut.o) & ~before(h, before(h, ready, "a"), "b"))
    return h
