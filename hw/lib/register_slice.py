"""A register in both directions of a stream, to cut long paths."""

from __future__ import annotations

from amaranth import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.lib.timing_policy import policy_of

__all__ = ["ENABLED", "NoSlice", "RegisterSlice"]

# Bits that one net enables at most: more of them make it a long one.
ENABLED = 48


class RegisterSlice(wiring.Component):
    """Hands a stream on a cycle later, one payload a cycle.

    `i.ready` and `o.valid` are registers: nothing at one side depends on the other within a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.

    Members
    -------
    i, o : streams of `shape`
    """

    def __init__(self, *, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        given = self.i.p if isinstance(self.i.p, Signal) else self.i.p.as_value()
        payload = Signal(len(given), reset_less=True)
        # Payload that came in the cycle in which the output began to stall.
        spare = Signal(len(given), reset_less=True)
        full = Signal()
        ready = Signal(init=1)  # duplicate of ``~full``, for distant sinks
        m.d.comb += [self.i.ready.eq(ready), self.o.payload.eq(payload)]
        with m.If(~full):
            m.d.sync += spare.eq(given)
        copies = []
        for first in range(0, len(given), ENABLED):
            part = slice(first, first + ENABLED)
            holds = self.o.valid
            if len(given) > ENABLED:  # a duplicate of `o.valid`
                copies.append(holds := timing.duplicate(name=f"holds_{first}"))
            with m.If(self.o.ready | ~holds):
                m.d.sync += payload[part].eq(Mux(full, spare[part], given[part]))
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                *(valid.eq(full | self.i.valid) for valid in (self.o.valid, *copies)),
                full.eq(0),
                ready.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [full.eq(1), ready.eq(0)]
        return m


class NoSlice(wiring.Component):
    """Hands a stream on as it is: in place of a `RegisterSlice` where there is no room for one."""

    def __init__(self, *, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        connect(m, flipped(self.i), flipped(self.o))
        return m
