"""The control state machine: how a run begins, ends, fails and is reset.

::

    IDLE --start--> RESET --> GO --> SETTLE --> RUN --complete--> IDLE    (done)
                                                 |
                                                 +---error------> HALT    (error)
    any --soft reset--> HALT --all DMAs idle--> CLEAN --> IDLE

The core is reset before every run, so no block of it needs a way to be cleared.  After an error and
on a soft reset the DMAs stop asking for bursts first, and the core is reset when the last
outstanding one has ended: a memory must never answer a master that has forgotten its question.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.split_counter import COUNT_LATENCY, counted
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.spec.regs import ERROR_SOURCES, ErrorCause

__all__ = ["Control"]


class State(enum.Enum):
    """State of a run; see the module's diagram."""

    IDLE = 0
    RESET = 1
    GO = 2
    SETTLE = 3
    RUN = 4
    HALT = 5
    CLEAN = 6


class Control(wiring.Component):
    """Run control.

    Members
    -------
    start, reset : In(1)
        Commands, one cycle each.  `start` is ignored unless idle; `reset` wins over `start`.
    watchdog : In(32)
        Most cycles without `progress` in a row; more end a run with `ErrorCause.TIMEOUT`, when
        `LATE` further ones have had none either.  0: any number may.
    complete : In(1)
        Level: the program is done.  Looked at from the second cycle after `go` on.
    log_busy : In(1)
        A log entry is being written: completion waits for it.
    progress : In(1)
        Something happened that shows the run is alive.
    bad_descriptor : In(1)
        Level: the sequencer stopped at a descriptor it does not know.
    port_error : In(2).array(4)
        First AXI response of each port (in the order of `ERROR_SOURCES`) that was an error.
    all_idle : In(1)
        No DMA has anything outstanding.
    core_reset : Out(1)
        Reset everything but the CSR bank.  High during and right after this side's own reset.
    core_reset_next : Out(1)
        What `core_reset` is in the next cycle, for copies of it.
    go : Out(1)
        Begin fetching; the cycle after `core_reset`.
    halt : Out(1)
        DMAs issue no new burst and swallow what arrives.
    begin : Out(1)
        A run begins with the next cycle.
    event : Out(1)
        The run ended this cycle, with done or error.
    busy, done, error, resetting : Out(1)
        As in the STATUS register.
    cause, source : Out(8)
        As in the ERROR register.
    """

    LATE = 1 + COUNT_LATENCY

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "reset": In(1),
                "watchdog": In(32),
                "complete": In(1),
                "log_busy": In(1),
                "progress": In(1),
                "bad_descriptor": In(1),
                "port_error": In(2).array(len(ERROR_SOURCES)),
                "all_idle": In(1),
                "core_reset": Out(1, init=1),
                "core_reset_next": Out(1),
                "go": Out(1),
                "halt": Out(1),
                "begin": Out(1),
                "event": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "resetting": Out(1),
                "cause": Out(8),
                "source": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # The failure that would be reported now; ports come first, in order: the last assignment
        # counts.
        failed = Signal()
        cause = Signal.like(self.cause)
        source = Signal.like(self.source)
        state = Signal(State)
        timeout = self._timeout(m, self.progress | (state != State.RUN), policy_of(platform))
        # Bit 1 tells the two error responses, SLVERR and DECERR, from the good ones.
        for index, error in reversed(list(enumerate(self.port_error))):
            with m.If(error[1]):
                m.d.comb += source.eq(index)
        errors = Cat(error[1] for error in self.port_error)
        with m.If(errors.any()):
            decode = Signal()
            with m.Switch(source):
                for index, error in enumerate(self.port_error):
                    with m.Case(index):
                        m.d.comb += decode.eq(error[0])
            m.d.comb += cause.eq(Mux(decode, ErrorCause.DECERR, ErrorCause.SLVERR))
        with m.Elif(self.bad_descriptor):
            m.d.comb += cause.eq(ErrorCause.BAD_DESCRIPTOR)
        with m.Elif(timeout):
            m.d.comb += cause.eq(ErrorCause.TIMEOUT)
        m.d.comb += failed.eq(Cat(errors, self.bad_descriptor, timeout).any())

        m.d.sync += [self.core_reset.eq(self.core_reset_next), self.go.eq(0), self.event.eq(0)]
        with m.Switch(state):
            with m.Case(State.IDLE), m.If(self.start):
                m.d.comb += [self.begin.eq(~self.reset), self.core_reset_next.eq(1)]
                m.d.sync += [
                    self.busy.eq(1),
                    self.done.eq(0),
                    self.error.eq(0),
                    self.cause.eq(ErrorCause.NONE),
                    self.source.eq(0),
                    state.eq(State.RESET),
                ]
            with m.Case(State.RESET):
                m.d.sync += [self.go.eq(1), state.eq(State.GO)]
            with m.Case(State.GO):
                m.d.sync += state.eq(State.SETTLE)
            with m.Case(State.SETTLE):
                m.d.sync += state.eq(State.RUN)
            with m.Case(State.RUN):
                with m.If(failed):
                    m.d.sync += [
                        self.error.eq(1),
                        self.cause.eq(cause),
                        self.source.eq(source),
                        self.busy.eq(0),
                        self.event.eq(1),
                        self.halt.eq(1),
                        self.resetting.eq(1),
                        state.eq(State.HALT),
                    ]
                with m.Elif(self.complete & ~self.log_busy):
                    m.d.sync += [
                        self.done.eq(1),
                        self.busy.eq(0),
                        self.event.eq(1),
                        state.eq(State.IDLE),
                    ]
            with m.Case(State.HALT), m.If(self.all_idle):
                m.d.comb += self.core_reset_next.eq(1)
                m.d.sync += state.eq(State.CLEAN)
            with m.Case(State.CLEAN):
                m.d.sync += [self.halt.eq(0), self.resetting.eq(0), state.eq(State.IDLE)]

        with m.If(self.reset):
            m.d.comb += self.core_reset_next.eq(0)
            m.d.sync += [
                self.busy.eq(0),
                self.done.eq(0),
                self.error.eq(0),
                self.cause.eq(ErrorCause.NONE),
                self.source.eq(0),
                self.go.eq(0),
                self.event.eq(0),
                self.halt.eq(1),
                self.resetting.eq(1),
                state.eq(State.HALT),
            ]
        return m

    def _timeout(self, m: Module, alive: Value, timing: TimingPolicy) -> Value:
        """Whether more than `watchdog` cycles and some since have gone by without `alive`."""
        count = counted(m, Const(1), bits=32, name="idle_cycles", clear=alive, timing=timing)
        # Compared in two halves, in a cycle of their own.
        watches, low_above, high_above, high_same = (
            Signal(name=f"watchdog_{name}")
            for name in ("watches", "low_above", "high_above", "high_same")
        )
        low, high = count[:16], count[16:]
        m.d.sync += [
            watches.eq(self.watchdog != 0),
            low_above.eq(low > self.watchdog[:16]),
            high_above.eq(high > self.watchdog[16:]),
            high_same.eq(high == self.watchdog[16:]),
        ]
        # Progress that is not yet part of the comparison.
        since = Signal(COUNT_LATENCY, name="alive_since", init=-1)
        timeout = Signal()
        m.d.sync += [
            since.eq(Cat(alive, since)),
            timeout.eq(watches & (high_above | (high_same & low_above)) & ~alive & ~since.any()),
        ]
        return timeout
