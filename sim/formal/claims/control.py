"""Run control: a soft reset waits for outstanding memory responses."""

from __future__ import annotations

from typing import Any

from amaranth import Mux, Signal

from penstock.models.spec.regs import ErrorCause
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, within

__all__ = ["control"]

_LIMIT = 3
_WATCHDOG = 5


def control(hw: Any) -> Harness:
    """Environment: memory that answers with a delay, and DMAs that stop when halted."""
    h = Harness()
    h.m.submodules.dut = dut = hw.Control()
    h.free_inputs(dut)

    # Outstanding bursts of the DMAs, which begin some in a run only, and none when halted.
    begins, ends = h.free(1, "begins"), h.free(1, "ends")
    owed = Signal(range(_LIMIT + 1), name="owed")
    began = begins & dut.busy & ~dut.halt & ~dut.core_reset & (owed != _LIMIT)
    ended = ends & (owed != 0)
    h.m.d.sync += owed.eq(owed + began - ended)
    h.assume(dut.all_idle == (owed == 0))
    # A program is complete when all its bursts are; its errors are cleared by a reset.
    h.assume(~dut.complete | ((owed == 0) & ~began))
    fresh = before(h, dut.core_reset, "core_reset")
    for error in dut.port_error:
        h.assume(~(fresh & error[1]))
    h.assume(~(fresh & (dut.bad_descriptor | dut.complete)))

    # The first reset is the design's own.
    once = Signal(name="once")
    h.m.d.sync += once.eq(1)
    h.claim(
        "the core is reset only when memory owes nothing", ~(once & dut.core_reset) | (owed == 0)
    )
    h.claim("go is the cycle after a reset", ~dut.go | before(h, dut.core_reset, "reset_before_go"))
    h.claim("a run is not done and failed at once", ~(dut.done & dut.error))
    h.claim("a run that goes on is neither", ~dut.busy | ~(dut.done | dut.error))
    h.claim("error says why", ~dut.error | (dut.cause != 0))
    ran = before(h, dut.busy, "busy") & ~before(h, dut.reset, "reset_command")
    h.claim(
        "a run ends with done or error, and tells",
        ~ran | dut.busy | ((dut.done | dut.error) & dut.event),
    )
    h.claim("what is told is an end", ~dut.event | dut.done | dut.error)
    h.claim("halted until the reset", ~dut.resetting | dut.halt)
    waits = dut.resetting & (owed == 0) & ~dut.reset
    within(h, "a soft reset ends when nothing is owed", 3, ~waits)
    silent = Signal(4, name="silent")
    alive = ~dut.busy | dut.progress | (dut.watchdog != _WATCHDOG)
    h.m.d.sync += silent.eq(Mux(alive, 0, silent + (silent != 15)))
    # Counting starts after three cycles, and the time-out takes effect one cycle later.
    h.claim(
        "the watchdog ends a run without progress",
        (silent < 3 + _WATCHDOG + 1 + dut.LATE + 1) | ~dut.busy,
    )
    quiet = Signal(4, name="quiet")
    always = Signal(init=1, name="always")
    h.m.d.sync += [
        quiet.eq(Mux(dut.progress | ~dut.busy, 0, quiet + (quiet != 15))),
        always.eq(always & (dut.watchdog == _WATCHDOG)),
    ]
    over = dut.event & (dut.cause == ErrorCause.TIMEOUT)
    enough = before(h, quiet, "quiet") >= _WATCHDOG + 1 + dut.LATE
    h.claim("and no other", ~over | ~before(h, always, "always") | enough)
    h.cover("a soft reset waits for memory", dut.resetting & (owed == _LIMIT))
    h.cover("a run is done", dut.done)
    h.cover("a second run after an error", dut.go & before(h, dut.core_reset, "again") & once)
    return h
