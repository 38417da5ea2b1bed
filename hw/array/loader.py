"""Shifts weight blocks into the array's shadow registers, one ahead of their use."""

from __future__ import annotations

from amaranth import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WeightLoader"]


class WeightLoader(wiring.Component):
    """Feeds the shadow chains of a `SystolicArray`.

    Parameters
    ----------
    rows, cols : int
        Of the array.
    hold : int
        Cycles after `take` in which the chains must keep still.

    Members
    -------
    i : In(stream of cols * 8 bits)
        Words of weight blocks, a block's last row first.
    ready : Out(1)
        A block is complete: the array may swap.
    take : In(1)
        The array is about to swap; only when `ready`.
    wgt, shift : Out
        To the array.
    """

    def __init__(self, *, rows: int, cols: int, hold: int) -> None:
        for name, value in (("rows", rows), ("cols", cols)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if hold < 1:
            raise ValueError(f"hold must be a positive integer, not {hold!r}")
        self.rows = rows
        self.cols = cols
        self.hold = hold
        super().__init__(
            {
                "i": In(stream.Signature(cols * 8)),
                "ready": Out(1),
                "take": In(1),
                "wgt": Out(signed(8)).array(cols),
                "shift": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = Signal(range(self.rows))
        held = Signal(range(self.hold))
        word = Signal(self.cols * 8, reset_less=True)
        m.d.comb += [self.wgt[c].eq(word.word_select(c, 8)) for c in range(self.cols)]
        m.d.sync += self.shift.eq(0)
        with m.FSM():
            with m.State("shift"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        word.eq(self.i.payload),
                        self.shift.eq(1),
                        words.eq(words + 1),
                    ]
                    with m.If(words == self.rows - 1):
                        m.d.sync += words.eq(0)
                        m.next = "ready"
            with m.State("ready"):
                m.d.comb += self.ready.eq(1)
                with m.If(self.take):
                    m.d.sync += held.eq(self.hold - 1)
                    m.next = "hold"
            with m.State("hold"):
                m.d.sync += held.eq(held - 1)
                with m.If(held == 0):
                    m.next = "shift"
        return m
