"""Local response normalisation across channels."""

from __future__ import annotations

from amaranth import Array, Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.lib.delay import delayed
from penstock.hw.lib.memory_ports import write_port
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.golden.fixed import LRN_TABLE_ENTRIES, LRN_TABLE_PAIRS

__all__ = ["LrnLane", "LrnLanes", "table_port"]

_SUM_BITS = 19  # 5 * 255**2 < 2**19


def _square(value: Value) -> Value:
    """Square of 4 bits: a table that each of its bits is a LUT of."""
    return Array(Const(v * v, 8) for v in range(16))[value]


def _product(a: Value, b: Value) -> Value:
    """Product of 4 and 2 bits: a table that each of its bits is a LUT of."""
    return Array(Const(n * k, 6) for k in range(4) for n in range(16))[Cat(a, b)]


def table_port() -> wiring.Signature:
    """Signature of the gain table's write port: entries ``2 * addr`` and ``2 * addr + 1``.

    The second one is in the high half, as `models.golden.fixed.pack_lrn_table` packs them.
    """
    return write_port(addr=range(LRN_TABLE_PAIRS), data=64)


class LrnLane(wiring.Component):
    """From a sum of squares and a value to the normalised value, one a cycle.

    A free-running pipeline with a gain table of its own.

    ===== ====================================================================
    stage what its registers hold
    ===== ====================================================================
    1     the sum, its leading one within the top four of 16 bits
    2     table index and fraction: the leading one on top
    3, 4  the table's word (two entries)
    5     the entry: gain and difference
    6     difference * fraction
    7     interpolated gain
    8     value * gain
    9     that, shifted right by the multiple of 8 in `shift` - 1
    10    shifted by the rest
    11    rounded and clipped
    ===== ====================================================================

    Members
    -------
    table : Out(table_port())
    shift : In(5)
        1 to 31, constant while values are under way.
    squares : In(19)
        Sum of the squares of the five channels around the value.
    value : In(8)
    y : Out(8)
        The result for the inputs of `LATENCY` cycles before.
    """

    LATENCY = READ_LATENCY + 9

    def __init__(self) -> None:
        super().__init__(
            {
                "table": Out(table_port()),
                "shift": In(5),
                "squares": In(_SUM_BITS),
                "value": In(8),
                "y": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # With e = floor(log2(sum)) the octave is e - 3 = 15 - 4 * coarse - fine, so the two
        # normalising shifts are the inverted octave.  A sum below 16 has octave 0 and is shifted
        # by 15, so its four bits stand one place higher than a mantissa and the fraction is 0.
        top = Signal(16, reset_less=True)
        octave_high = Signal(2, reset_less=True)
        with m.If(self.squares[15:].any()):
            m.d.sync += [top.eq(self.squares[3:]), octave_high.eq(3)]
        with m.Elif(self.squares[11:15].any()):
            m.d.sync += [top.eq(self.squares[:15] << 1), octave_high.eq(2)]
        with m.Elif(self.squares[7:11].any()):
            m.d.sync += [top.eq(self.squares[:11] << 5), octave_high.eq(1)]
        with m.Else():
            m.d.sync += [top.eq(self.squares[:7] << 9), octave_high.eq(0)]

        mantissa = Signal(4)
        tail = Signal(8)
        octave_low = Signal(2)
        with m.Switch(top[12:]):
            for fine, leading in enumerate(("1---", "01--", "001-", "000-")):
                normal = Cat(Const(0, fine), top[: 16 - fine])
                with m.Case(leading):
                    m.d.comb += [
                        mantissa.eq(normal[11:15]),
                        tail.eq(normal[3:11]),
                        octave_low.eq(3 - fine),
                    ]
        small = (octave_high == 0) & (octave_low == 0)
        index = Signal(range(LRN_TABLE_ENTRIES), reset_less=True)
        fraction = Signal(8, reset_less=True)
        m.d.sync += [
            # Octave 0 was shifted by all of 15: its bits are the top four.
            index.eq(Cat(Mux(small, top[9:13], mantissa), octave_low, octave_high)),
            fraction.eq(tail),
        ]

        m.submodules.table = table = Buffer(depth=LRN_TABLE_PAIRS, width=64)
        connect(m, flipped(self.table), table.w)
        m.d.comb += [
            table.r.en.eq(1),
            table.r.addr.eq(index[1:]),
        ]
        odd = delayed(m, index[:1], READ_LATENCY)
        gain = Signal(16, reset_less=True)
        difference = Signal(16, reset_less=True)
        m.d.sync += Cat(gain, difference).eq(table.r.data.word_select(odd, 32))

        fall = Signal(24, reset_less=True)
        m.d.sync += fall.eq(difference * delayed(m, fraction, READ_LATENCY + 1))

        # gain - ((fall + 128) >> 8) = (gain * 256 + 127 - fall) >> 8
        exact = Signal(24, reset_less=True)
        m.d.sync += exact.eq(Cat(Const(127, 8), delayed(m, gain, 1)) - fall)

        product = Signal(24, reset_less=True)
        m.d.sync += product.eq(exact[8:] * delayed(m, self.value, 5 + READ_LATENCY))

        # (product + 2**(shift-1)) >> shift = (product >> shift) + bit shift-1 of the product:
        # shift by one less and round with the lowest bit.
        less = Signal(5, reset_less=True)
        m.d.sync += less.eq(self.shift - 1)
        kept = Signal(16, reset_less=True)  # half bit, 8 bits, 7 bits for the rest of the shift
        over = Signal(reset_less=True)
        with m.Switch(less[3:]):
            for coarse in range(4):
                with m.Case(coarse):
                    m.d.sync += [
                        kept.eq(product[coarse * 8 : coarse * 8 + 16]),
                        over.eq(product[coarse * 8 + 16 :].any()),
                    ]
        shifted = Signal(16)
        half = Signal(reset_less=True)
        integer = Signal(8, reset_less=True)
        saturate = Signal(reset_less=True)
        rounded = Signal(9)
        result = Signal(8, reset_less=True)
        m.d.comb += [
            shifted.eq(kept >> less[:3]),
            rounded.eq(integer + half),
            self.y.eq(result),
        ]
        m.d.sync += [
            half.eq(shifted[0]),
            integer.eq(shifted[1:9]),
            saturate.eq(over | shifted[9:].any()),
            result.eq(Mux(saturate | rounded[8], 255, rounded[:8])),
        ]
        return m


class LrnLanes(wiring.Component):
    """Normalise a word of `rows` channels, `lanes` of them each cycle.

    A free-running pipeline.  A window is shifted past the lanes `lanes` channels at a time::

        cycle after start    1                        2
        window               |b0 b1 c0 c1 c2 c3 ..|   |c0 c1 c2 c3 c4 c5 ..|
        channels computed     c0 c1                    c2 c3                    (lanes = 2)

    Parameters
    ----------
    rows : int
        Channels in a word, at least 2.
    lanes : int
        Channels normalised each cycle; divides `rows`.

    Members
    -------
    table : Out(table_port())
        Every lane has a copy of the table.  Not while words are under way.
    shift : In(5)
        1 to 31, constant while words are under way.
    i_start : In(1)
        Take a window; at most every `interval` cycles.
    i_window : In((rows + 4) * 8)
        Two channels before, the word, two channels after; the first in the low byte.
    o_valid : Out(1)
        High in the one cycle, `latency` cycles after the start, in which `o_word` is complete.
    o_word : Out(rows * 8)
    """

    def __init__(self, *, rows: int, lanes: int) -> None:
        if not isinstance(rows, int) or rows < 2:
            raise ValueError(f"rows must be an integer of at least 2, not {rows!r}")
        if not isinstance(lanes, int) or lanes < 1 or rows % lanes:
            raise ValueError(f"lanes must divide rows, {rows}, not be {lanes!r}")
        self.rows = rows
        self.lanes = lanes
        super().__init__(
            {
                "table": Out(table_port()),
                "shift": In(5),
                "i_start": In(1),
                "i_window": In((rows + 4) * 8),
                "o_valid": Out(1),
                "o_word": Out(rows * 8),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one start to the next, at least."""
        return self.rows // self.lanes

    @property
    def latency(self) -> int:
        """Cycles from `i_start` to `o_valid`."""
        # Window, parts, their sum, squares, pairs, sums, the lane; then one group of channels each
        # cycle.
        return 6 + LrnLane.LATENCY + self.interval

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        rows, lanes = self.rows, self.lanes

        window = [Signal(8, name=f"window_{i}", reset_less=True) for i in range(rows + 4)]
        left = Signal(range(rows + 1))
        with m.If(self.i_start):
            m.d.sync += left.eq(self.interval)
            m.d.sync += [b.eq(self.i_window.word_select(i, 8)) for i, b in enumerate(window)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [window[i].eq(window[i + lanes]) for i in range(rows + 4 - lanes)]

        started = Signal(self.latency)
        m.d.sync += started.eq(Cat(self.i_start, started))
        # Any of it set: between words, the pipeline stands still.
        moves = Cat(self.i_start, started[:-1]).any()

        def enable(name: str, condition: Value) -> Signal:
            # Each part has a duplicate, as they are many.
            own = timing.duplicate(name=name)
            m.d.sync += own.eq(condition)
            return own

        moving = enable("moving", moves)
        # Level with the lanes' enables.
        w_en, w_addr, w_data = (
            delayed(m, value, 1) for value in (self.table.en, self.table.addr, self.table.data)
        )

        # Squares from the halves of a byte; not written as products, which tools would map to DSPs.
        outer = [Signal(16, name=f"outer_{i}", reset_less=True) for i in range(lanes + 4)]
        parts = [
            [Signal(6, name=f"part_{i}_{k}", reset_less=True) for k in range(2)]
            for i in range(lanes + 4)
        ]
        cross = [Signal(8, name=f"cross_{i}", reset_less=True) for i in range(lanes + 4)]
        squares = [Signal(16, name=f"square_{i}", reset_less=True) for i in range(lanes + 4)]
        last = [Signal(16, name=f"last_{i}", reset_less=True) for i in range(lanes)]
        pairs = [Signal(17, name=f"pair_{i}", reset_less=True) for i in range(lanes + 2)]
        output = [Signal(8, name=f"output_{i}", reset_less=True) for i in range(rows)]
        with m.If(moving):
            for i, square in enumerate(squares):
                low, high = window[i][:4], window[i][4:]
                m.d.sync += [
                    outer[i].eq(delayed(m, Cat(_square(low), _square(high)), 1)),
                    parts[i][0].eq(_product(low, high[:2])),
                    parts[i][1].eq(_product(low, high[2:])),
                    cross[i].eq(parts[i][0] + (parts[i][1] << 2)),
                    square.eq(outer[i] + (cross[i] << 5)),
                ]
            m.d.sync += [p.eq(squares[i] + squares[i + 1]) for i, p in enumerate(pairs)]
            m.d.sync += [s.eq(squares[i + 4]) for i, s in enumerate(last)]
            m.d.sync += [output[i].eq(output[i + lanes]) for i in range(rows - lanes)]
        for i in range(lanes):
            lane = LrnLane()
            enabled = enable(f"enable_{i}", moves | self.table.en)
            m.submodules[f"lane_{i}"] = EnableInserter(enabled)(lane)
            total = Signal(_SUM_BITS, name=f"sum_{i}", reset_less=True)
            with m.If(moving):
                m.d.sync += [
                    total.eq(pairs[i] + pairs[i + 2] + last[i]),
                    output[rows - lanes + i].eq(lane.y),
                ]
                value = delayed(m, window[i + 2], 5)
            m.d.comb += [
                lane.value.eq(value),
                lane.table.en.eq(w_en),
                lane.table.addr.eq(w_addr),
                lane.table.data.eq(w_data),
                lane.shift.eq(self.shift),
                lane.squares.eq(total),
            ]

        m.d.comb += [self.o_valid.eq(started[-1]), self.o_word.eq(Cat(*output))]
        return m
