"""The order in which POST visits pixels, and where they are in the output buffer."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.pool import MAX_KERNEL, pool_control
from penstock.hw.lib.countdown import Countdown
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


def _row_layout(words: int) -> data.StructLayout:
    """See `_Cursor.row`."""
    return data.StructLayout(
        {"iy": _POSITION, "addr": range(words), "before_own": 1, "before_first": 1}
    )


class _Cursor:
    """A row of the input and the word where it begins; rows above the first have none.

    Parameters
    ----------
    m : Module
        Gets the registers.
    d : View of descriptor(Op.POST)
    words : int

    Attributes
    ----------
    row : View
        `iy`, `addr`, and whether the next row is row `halo_rows` (`before_own`) or row 0
        (`before_first`), which is compared a row ahead.
    step : Signal
        To be set: go on to the next row.
    """

    def __init__(self, m: Module, d: data.View, words: int) -> None:
        self._m = m
        self._d = d
        self.row = Signal(_row_layout(words), name="row", reset_less=True)
        self.step = Signal(name="step")
        # Derived constants are registered one cycle before the cursor moves.
        halo_end = Signal(_POSITION, name="halo_end", reset_less=True)  # two before `halo_rows`
        m.d.sync += halo_end.eq(d.halo_rows - 2)
        following = Signal(range(words), name="addr_next")
        # Row 0 without a halo is row `halo_rows` as well.
        with m.If(self.row.before_own):
            m.d.comb += following.eq(d.base)
        with m.Elif(self.row.before_first):
            m.d.comb += following.eq(d.halo_base)
        with m.Else():
            m.d.comb += following.eq(self.row.addr + d.in_w)
        with m.If(self.step):
            m.d.sync += [
                self.row.iy.eq(self.row.iy + 1),
                self.row.addr.eq(following),
                self.row.before_own.eq(self.row.iy == halo_end),
                self.row.before_first.eq(self.row.iy == -2),
            ]

    def begin(self) -> None:
        """Go to the first window's first row, or to row 0 if that is below it."""
        d = self._d
        self._m.d.sync += [
            self.row.iy.eq(Mux(d.y0 < 0, d.y0, 0)),
            self.row.addr.eq(Mux(d.halo_rows == 0, d.base, d.halo_base)),
            self.row.before_own.eq(
                Mux(d.y0 < 0, (d.y0 == -1) & (d.halo_rows == 0), d.halo_rows == 1)
            ),
            self.row.before_first.eq(d.y0 == -1),
        ]


class _Window:
    """The rows of a window: where the next pixel of each is, and what the row is.

    Parameters
    ----------
    m : Module
        Gets the registers.
    words : int
    k : Value
        The row that the attributes are about.

    Attributes
    ----------
    addr : Signal
        Word of the row's next pixel.
    exists, halo : Signal
        It is a row of the input, and of its halo.
    """

    def __init__(self, m: Module, words: int, k: Value) -> None:
        self._m = m
        self._k = k
        self._pixel = [
            Signal(range(words), name=f"pixel_{row}", reset_less=True) for row in range(MAX_KERNEL)
        ]
        self._exists = Signal(MAX_KERNEL, name="exists", reset_less=True)
        self._halo = Signal(MAX_KERNEL, name="halo", reset_less=True)
        self.addr = Signal(range(words), name="pixel")
        self.exists, self.halo = Signal(name="in_column"), Signal(name="in_halo")
        with m.Switch(k[:2]):
            for row, pixel in enumerate(self._pixel):
                with m.Case(row):
                    m.d.comb += [
                        self.addr.eq(pixel),
                        self.halo.eq(self._halo[row]),
                        self.exists.eq(self._exists[row]),
                    ]

    def take(self, row: data.View, d: data.View) -> None:
        """Let row `k` of the window be a row of the input."""
        for index, pixel in enumerate(self._pixel):
            with self._m.If(self._k == index):
                self._m.d.sync += [
                    pixel.eq(row.addr + d.x0),
                    self._exists[index].eq((row.iy >= 0) & (row.iy < d.in_h)),
                    self._halo[index].eq(row.iy < d.halo_rows),
                ]

    def advance(self) -> None:
        """Go on to the next pixel of row `k`."""
        with self._m.Switch(self._k[:2]):
            for index, pixel in enumerate(self._pixel):
                with self._m.Case(index):
                    self._m.d.sync += pixel.eq(pixel + 1)


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
        cursor = _Cursor(m, d, self.words)
        # Where the next output row's window begins.
        below = Signal.like(cursor.row, name="below", reset_less=True)
        last_step = Signal(4, reset_less=True)
        m.d.sync += last_step.eq(Mux(d.kernel > d.stride, d.kernel - 1, d.stride))

        # The pixel: row k of the window, column ix.
        k = Signal(range(16))
        ix = Signal(_POSITION, reset_less=True)
        window = _Window(m, self.words, k)
        bottom = Signal(reset_less=True)  # always `k + 1 == kernel`, computed a pixel ahead
        rows = Countdown(m, 16, name="row", end=0)
        words = Countdown(m, 16, name="word", end=1)
        # Columns until one that completes a window.
        gap = Countdown(m, 4, name="gap", end=0)
        emit = Signal()
        m.d.comb += [
            emit.eq(bottom & gap.last),
            self.o.p.addr.eq(window.addr),
            self.o.p.halo.eq(window.halo),
            self.o.p.inside.eq(window.exists & (ix >= 0) & (ix < d.in_w)),
            self.o.p.control.first.eq(k == 0),
            self.o.p.control.last.eq(bottom),
            self.o.p.control.emit.eq(emit),
        ]

        with m.FSM(name="scan"):
            with m.State("IDLE"):
                cursor.begin()
                m.d.sync += [rows.left.eq(d.out_h), k.eq(0)]
                with m.If(self.start):
                    m.next = "SEEK"

            with m.State("SEEK"):
                with m.If(cursor.row.iy == d.y0):
                    m.next = "ROWS"
                with m.Else():
                    m.d.comb += cursor.step.eq(1)

            with m.State("ROWS"):
                m.d.comb += cursor.step.eq(1)
                window.take(cursor.row, d)
                with m.If(k == d.stride):
                    m.d.sync += below.eq(cursor.row)
                m.d.sync += [k.eq(k + 1), ix.eq(d.x0), bottom.eq(d.kernel == 1)]
                gap.load(d.kernel - 1, last=d.kernel == 1)
                words.load(d.out_w)
                with m.If(k == last_step):
                    m.d.sync += k.eq(0)
                    rows.step()
                    m.next = "SCAN"

            with m.State("SCAN"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += cursor.row.eq(below)
                with m.If(self.o.ready):
                    window.advance()
                    m.d.sync += [k.eq(k + 1), bottom.eq(k + 2 == d.kernel)]
                    with m.If(bottom):
                        m.d.sync += [k.eq(0), bottom.eq(d.kernel == 1), ix.eq(ix + 1)]
                        gap.step()
                    with m.If(emit):
                        gap.load(d.stride - 1, last=d.stride == 1)
                        words.step()
                        with m.If(words.last):
                            m.next = "ROWS"
                            with m.If(rows.last):
                                m.next = "IDLE"
        return m
