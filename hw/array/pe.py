"""The processing element: one multiply-accumulate with double-buffered weight."""

from __future__ import annotations

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ProcessingElement", "sum_width"]


def sum_width(rows: int) -> int:
    """Bits of a signed sum of `rows` products of uint8 and int8."""
    return (rows * 255 * 128).bit_length() + 1


class ProcessingElement(wiring.Component):
    """One cell of the systolic array.

    The activation moves right and the sum moves down, one cell a cycle: a cell's activation must
    arrive one cycle after that of the cell above.

    Parameters
    ----------
    width : int
        Bits of the signed partial sum.

    Members
    -------
    i_act, o_act : uint8
        The activation; a cycle later it is at `o_act`.
    i_swap : 1 bit
        This activation is the first to be multiplied by the shadow weight.
    i_wgt, o_wgt : int8
        The shadow chain: `o_wgt` is the shadow weight.
    i_shift : 1 bit
        The shadow takes `i_wgt`.
    i_sum, o_sum : signed(width)
        ``o_sum = i_sum + activation * weight``, `LATENCY` cycles after the activation and one
        cycle after `i_sum`.
    """

    LATENCY = 3

    def __init__(self, *, width: int) -> None:
        if not isinstance(width, int) or width < 16:
            raise ValueError(f"width must be an integer of at least 16, not {width!r}")
        self.width = width
        super().__init__(
            {
                "i_act": In(8),
                "o_act": Out(8),
                "i_swap": In(1),
                "i_wgt": In(signed(8)),
                "o_wgt": Out(signed(8)),
                "i_shift": In(1),
                "i_sum": In(signed(width)),
                "o_sum": Out(signed(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act = Signal(8, reset_less=True)
        shadow = Signal(signed(8), reset_less=True)
        weight = Signal(signed(8), reset_less=True)
        product = Signal(signed(16), reset_less=True)
        total = Signal(signed(self.width), reset_less=True)
        m.d.sync += [
            act.eq(self.i_act),
            product.eq(act * weight),
            total.eq(self.i_sum + product),
        ]
        with m.If(self.i_shift):
            m.d.sync += shadow.eq(self.i_wgt)
        with m.If(self.i_swap):
            m.d.sync += weight.eq(shadow)
        m.d.comb += [
            self.o_act.eq(act),
            self.o_wgt.eq(shadow),
            self.o_sum.eq(total),
        ]
        return m
