"""Max pooling of a stream of pixels that come column by column."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MAX_KERNEL", "MaxPool", "pool_control"]

MAX_KERNEL = 3


def pool_control() -> data.StructLayout:
    """Control of each pixel.

    first
        The top pixel of a column of the window.
    last
        The bottom pixel of a column (also the first, where the window has one row).
    emit
        With `last`: the window that ends in this column is an output.
    """
    return data.StructLayout({"first": 1, "last": 1, "emit": 1})


def _greater(a: Value, b: Value) -> Value:
    """Whether `a` is greater than `b`, by a sum's sign.

    For a comparison, synthesis makes look-up tables of so many inputs that the open placer has to
    put others between them and the carry chain.
    """
    return (b - a)[-1]


class MaxPool(wiring.Component):
    """Maximum over a square window, for `rows` channels at once.

    Pixels come column by column, each column top to bottom::

        order      1  4  7          column      c-2  c-1  c
        of the     2  5  8          maximum      |    |   |
        pixels     3  6  9                       '----+---'---> o, when column c says `emit`

    A free-running pipeline: it takes a pixel each cycle and never stalls.  The first `kernel` - 1
    columns of an output row must not emit: the columns before them belong to another row.

    Parameters
    ----------
    rows : int
        Channels in a pixel.

    Members
    -------
    kernel : In(2)
        Columns of the window, 1 to 3; constant while pixels are under way and from the cycle before
        the first one on.
    i_valid, i_control, i_pixel : In
        A pixel (rows bytes, channel 0 in the low byte) and its place in the window.
    o_valid, o_pixel : Out
        The maximum, `LATENCY` cycles after the pixel that emits.
    """

    LATENCY = 3

    def __init__(self, *, rows: int) -> None:
        if not isinstance(rows, int) or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        self.rows = rows
        super().__init__(
            {
                "kernel": In(range(MAX_KERNEL + 1)),
                "i_valid": In(1),
                "i_control": In(pool_control()),
                "i_pixel": In(rows * 8),
                "o_valid": Out(1),
                "o_pixel": Out(rows * 8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        complete, compared = Signal(), Signal()
        emit, emits = Signal(), Signal()
        m.d.sync += [
            complete.eq(self.i_valid & self.i_control.last),
            compared.eq(complete),
            emit.eq(self.i_control.emit),
            emits.eq(emit),
            self.o_valid.eq(compared & emits),
        ]
        several, three = Signal(), Signal()
        m.d.sync += [several.eq(self.kernel > 1), three.eq(self.kernel == 3)]
        result = []
        # One byte a register: simulators are much faster at it than at slices of a wide word.
        for c in range(self.rows):
            pixel = self.i_pixel.word_select(c, 8)
            column = Signal(8, name=f"column_{c}", reset_less=True)
            before = Signal(8, name=f"before_{c}", reset_less=True)
            older = Signal(8, name=f"older_{c}", reset_less=True)
            older_counts = Signal(name=f"older_counts_{c}", reset_less=True)
            earlier_counts = Signal(name=f"earlier_counts_{c}", reset_less=True)
            earlier = Signal(8, name=f"earlier_{c}", reset_less=True)
            output = Signal(8, name=f"output_{c}", reset_less=True)
            with m.If(self.i_valid):
                greater = _greater(pixel, column)
                m.d.sync += column.eq(Mux(self.i_control.first | greater, pixel, column))
            # `before` is the last column, `earlier` the maximum of the columns that the next
            # one's window adds to it: computed a column ahead, so that one comparison is left.
            # Each is made in a cycle and used in the next; where `earlier` counts, a column takes
            # two cycles or more.
            with m.If(complete):
                m.d.sync += [
                    before.eq(column),
                    older.eq(before),
                    older_counts.eq(_greater(before, column)),
                    earlier_counts.eq(_greater(earlier, column)),
                ]
            with m.If(compared):
                m.d.sync += [
                    earlier.eq(Mux(older_counts & three, older, before)),
                    output.eq(Mux(earlier_counts & several, earlier, before)),
                ]
            result.append(output)
        m.d.comb += self.o_pixel.eq(Cat(*result))
        return m
