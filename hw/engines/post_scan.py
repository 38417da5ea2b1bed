"""The order in which POST visits pixels, and where they are in the output buffer."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.pool import MAX_KERNEL, pool_control
from penstock.models.spec.isa import Op

__all__ = ["PostScan", "scan_layout"]

# Rows and columns are compared as signed numbers: 16-bit fields, and a window beyond them.
_POSITION = signed(18)


def scan_layout(words: int) -> data.StructLayout:
    """One pixel to read.

    addr
        Word of the output buffer; meaningless outside.
    inside
        The pixel exists; otherwise it is padding.
    halo
        It is in a halo row, where planes are `halo_step` apart.
    control
        Its place in the pooling window.
    """
    return data.StructLayout(
        {"addr": range(words), "inside": 1, "halo": 1, "control": pool_control()}
    )


class PostScan(wiring.Component):
    """Scans the pixels of a POST descriptor, one a cycle.

    For each output row, the ``(out_w - 1) * stride + kernel`` input columns that its windows cover,
    each column from top to bottom.  Before a row come ``max(kernel - 1, stride) + 1`` cycles in
    which a cursor steps through the window's rows, so no address is ever multiplied::

        iy   -1    0          1           halo_rows - 1      halo_rows    + 1
        row   ?    halo_base  + in_w ...  + in_w        ...  base         + in_w ...

    The first row costs `y0` more, if that is positive.

    Parameters
    ----------
    words : int
        Words of the output buffer, a power of two: addresses wrap.

    Members
    -------
    d : In(descriptor(Op.POST))
        Held from the start until the last pixel is taken.
    start : In(1)
        Pulse, after the last pixel of the scan before.
    o : Out(stream of scan_layout(words))
    """

    def __init__(self, *, words: int) -> None:
        if not isinstance(words, int) or words < 2 or words & (words - 1):
            raise ValueError(f"words must be a power of two of at least 2, not {words!r}")
        self.words = words
        super().__init__(
            {
                "d": In(descriptor(Op.POST)),
                "start": In(1),
                "o": Out(stream.Signature(scan_layout(words))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.d

        # The cursor is at row `iy`, which begins at `addr`; negative rows have no address.
        iy = Signal(_POSITION, reset_less=True)
        addr = Signal(range(self.words), reset_less=True)
        iy_next = Signal(_POSITION)
        addr_next = Signal(range(self.words))
        m.d.comb += iy_next.eq(iy + 1)
        # Derived constants are registered one cycle before the cursor moves.
        halo_end = Signal(_POSITION, reset_less=True)  # two rows before row `halo_rows`
        last_step = Signal(4, reset_less=True)
        m.d.sync += [
            halo_end.eq(d.halo_rows - 2),
            last_step.eq(Mux(d.kernel > d.stride, d.kernel - 1, d.stride)),
        ]
        # Whether the next row is row `halo_rows`, or row 0: compared a row ahead.  Row 0 without a
        # halo is row `halo_rows` as well.
        before_own = Signal(reset_less=True)
        before_first = Signal(reset_less=True)
        with m.If(before_own):
            m.d.comb += addr_next.eq(d.base)
        with m.Elif(before_first):
            m.d.comb += addr_next.eq(d.halo_base)
        with m.Else():
            m.d.comb += addr_next.eq(addr + d.in_w)
        step = Signal()
        with m.If(step):
            m.d.sync += [
                iy.eq(iy_next),
                addr.eq(addr_next),
                before_own.eq(iy == halo_end),
                before_first.eq(iy == -2),
            ]

        # The rows of the window: where their next pixel is, and what they are.
        pixel = [
            Signal(range(self.words), name=f"pixel_{k}", reset_less=True) for k in range(MAX_KERNEL)
        ]
        exists = Signal(MAX_KERNEL, reset_less=True)
        halo = Signal(MAX_KERNEL, reset_less=True)
        # Where the next output row's window begins.
        iy_below = Signal(_POSITION, reset_less=True)
        addr_below = Signal(range(self.words), reset_less=True)
        before_below = Signal(2, reset_less=True)

        k = Signal(range(16))
        rows_left = Signal(16, reset_less=True)
        words_left = Signal(16, reset_less=True)
        ix = Signal(_POSITION, reset_less=True)
        # Columns until one that completes a window.
        gap = Signal(4, reset_less=True)
        last_row = Signal(reset_less=True)  # always `rows_left == 0`
        last_word = Signal(reset_less=True)  # always `words_left == 1`
        # Terminal-count flags that gate the next pixel, computed a pixel ahead.
        bottom = Signal(reset_less=True)  # always `k + 1 == kernel`
        completes = Signal(reset_less=True)  # always `gap == 0`
        emit = Signal()
        in_column = Signal()  # the row exists
        m.d.comb += [
            emit.eq(bottom & completes),
            self.o.p.inside.eq(in_column & (ix >= 0) & (ix < d.in_w)),
            self.o.p.control.first.eq(k == 0),
            self.o.p.control.last.eq(bottom),
            self.o.p.control.emit.eq(emit),
        ]
        with m.Switch(k[:2]):
            for row in range(MAX_KERNEL):
                with m.Case(row):
                    m.d.comb += [
                        self.o.p.addr.eq(pixel[row]),
                        self.o.p.halo.eq(halo[row]),
                        in_column.eq(exists[row]),
                    ]

        with m.FSM(name="scan"):
            with m.State("IDLE"):
                m.d.sync += [
                    iy.eq(Mux(d.y0 < 0, d.y0, 0)),
                    addr.eq(Mux(d.halo_rows == 0, d.base, d.halo_base)),
                    before_own.eq(
                        Mux(d.y0 < 0, (d.y0 == -1) & (d.halo_rows == 0), d.halo_rows == 1)
                    ),
                    before_first.eq(d.y0 == -1),
                    rows_left.eq(d.out_h),
                    k.eq(0),
                ]
                with m.If(self.start):
                    m.next = "SEEK"

            with m.State("SEEK"):
                with m.If(iy == d.y0):
                    m.next = "ROWS"
                with m.Else():
                    m.d.comb += step.eq(1)

            with m.State("ROWS"):
                m.d.comb += step.eq(1)
                for row in range(MAX_KERNEL):
                    with m.If(k == row):
                        m.d.sync += [
                            pixel[row].eq(addr + d.x0),
                            exists[row].eq((iy >= 0) & (iy < d.in_h)),
                            halo[row].eq(iy < d.halo_rows),
                        ]
                with m.If(k == d.stride):
                    m.d.sync += [
                        iy_below.eq(iy),
                        addr_below.eq(addr),
                        before_below.eq(Cat(before_own, before_first)),
                    ]
                m.d.sync += [
                    k.eq(k + 1),
                    ix.eq(d.x0),
                    gap.eq(d.kernel - 1),
                    bottom.eq(d.kernel == 1),
                    completes.eq(d.kernel == 1),
                    words_left.eq(d.out_w),
                    last_word.eq(d.out_w == 1),
                ]
                with m.If(k == last_step):
                    m.d.sync += [
                        k.eq(0),
                        rows_left.eq(rows_left - 1),
                        last_row.eq(rows_left == 1),
                    ]
                    m.next = "SCAN"

            with m.State("SCAN"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += [
                    iy.eq(iy_below),
                    addr.eq(addr_below),
                    Cat(before_own, before_first).eq(before_below),
                ]
                with m.If(self.o.ready):
                    with m.Switch(k[:2]):
                        for row in range(MAX_KERNEL):
                            with m.Case(row):
                                m.d.sync += pixel[row].eq(pixel[row] + 1)
                    m.d.sync += [k.eq(k + 1), bottom.eq(k + 2 == d.kernel)]
                    with m.If(bottom):
                        m.d.sync += [
                            k.eq(0),
                            bottom.eq(d.kernel == 1),
                            ix.eq(ix + 1),
                            gap.eq(gap - 1),
                            completes.eq(gap == 1),
                        ]
                    with m.If(emit):
                        m.d.sync += [
                            gap.eq(d.stride - 1),
                            completes.eq(d.stride == 1),
                            words_left.eq(words_left - 1),
                            last_word.eq(words_left == 2),
                        ]
                        with m.If(last_word):
                            m.next = "ROWS"
                            with m.If(last_row):
                                m.next = "IDLE"
        return m
