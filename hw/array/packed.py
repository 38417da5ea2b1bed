"""The systolic array with two products in each DSP, and DSPs in chains of two rows.

A 25-bit multiplier input holds the weights of two columns::

    bit   24 .. 17   16 .. 8   7 .. 0
          right      0         left + 128        (both int8; the left one becomes unsigned)

Times an activation, plus the row below: bits 16..0 hold the left column's sum of two rows, at most
2 * 255 * 255 < 2**17, and bits 33..17 the right column's, signed.  Nothing is ever borrowed between
them.  The 128 too many of the left columns are taken back by what their sums start from:
-128 * (sum of the word's activations).

Both weight registers are the DSP's own, the shadow as well: instead of a chain of shadows, a column
pair's weights go to all its DSPs, and each row has its turn to take them.

::

                 0     wgt 0,1, to all rows           wgt 2,3
      -128 sum   |       |                               |
      act 0 ---- | ->[DSP] -> [act] ------------------>[DSP]       one chain of two rows
                 |     | cascade                         |
      act 1 ---- | ->[DSP] -> [act] ------------------>[DSP]
                 |     |                                 |
                 |  [fields]                          [fields]
                 v     v                                 v
             [left] [right]                          [left] [right]
                 |     |       to the chain below        |     |
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.array.dsp48 import WEIGHT_BITS, MultiplyAdd
from penstock.hw.array.pe import sum_width
from penstock.hw.array.systolic import array_signature
from penstock.hw.lib.delay import delayed

__all__ = ["PackedArray", "PackedCell"]

# Bits of the left column's field.
_FIELD = 17
_OFFSET = 128

# A column pair's weights on their way to the DSPs: the left one + 128, the right one.
_PAIR = data.StructLayout({"left": 8, "right": 8})


class PackedCell(wiring.Component):
    """Two rows by two columns of processing elements, in two DSPs.

    The upper row's activation and swap must come a cycle before the lower row's.

    Parameters
    ----------
    width : int
        Bits of the signed partial sums.
    mac : type
        `MultiplyAdd`, or a subclass for an FPGA.

    Members
    -------
    i_act, o_act : uint8, array of 2
        The activations of both rows; a cycle later they are at `o_act`.
    i_swap : array of 2
        This activation is the first to be multiplied by the shadow weights.
    i_wgt : 16 bits
        The left column's weight + 128, the right column's weight.
    i_take : array of 2
        `i_wgt` becomes the row's shadow weights.
    i_sum, o_sum : signed(width), array of 2
        Left and right column: ``o_sum = i_sum +`` both rows' activation times weight (left: weight
        + 128), `LATENCY` cycles after the upper activation and one cycle after `i_sum`.
    """

    LATENCY = MultiplyAdd.LATENCY + 3

    def __init__(self, *, width: int, mac: type[MultiplyAdd] = MultiplyAdd) -> None:
        if not isinstance(width, int) or width < _FIELD:
            raise ValueError(f"width must be an integer of at least {_FIELD}, not {width!r}")
        self.width = width
        self.mac = mac
        super().__init__(
            {
                "i_act": In(8).array(2),
                "o_act": Out(8).array(2),
                "i_swap": In(1).array(2),
                "i_wgt": In(16),
                "i_take": In(1).array(2),
                "i_sum": In(signed(width)).array(2),
                "o_sum": Out(signed(width)).array(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.upper = upper = self.mac(cascade=False)
        m.submodules.lower = lower = self.mac(cascade=True)
        pair = data.View(_PAIR, self.i_wgt)
        gap = Const(0, WEIGHT_BITS - _PAIR.size)
        for row, mac in enumerate((upper, lower)):
            act = Signal(8, name=f"act_{row}", reset_less=True)
            m.d.sync += act.eq(self.i_act[row])
            m.d.comb += [
                mac.i_act.eq(self.i_act[row]),
                mac.i_wgt.eq(Cat(pair.left, gap, pair.right)),
                mac.i_take.eq(self.i_take[row]),
                mac.i_swap.eq(self.i_swap[row]),
                self.o_act[row].eq(act),
            ]
        m.d.comb += lower.i_cascade.eq(upper.o_cascade)

        # A register between the DSP and the adders: they are far from each other on the chip.
        left = Signal(_FIELD, reset_less=True)
        right = Signal(signed(_FIELD), reset_less=True)
        m.d.sync += Cat(left, right).eq(lower.o_sum)
        for column, field in enumerate((left, right)):
            total = Signal(signed(self.width), name=f"total_{column}", reset_less=True)
            m.d.sync += total.eq(self.i_sum[column] + field)
            m.d.comb += self.o_sum[column].eq(total)
        return m


class PackedArray(wiring.Component):
    """`rows` x `cols` processing elements: a `hw.array.systolic.SystolicArray` of another make.

    The sums are the same; `latency`, `swap_hold` and `group` are its own.  Shifts come in whole
    blocks, `rows` of them before each swap.

    Parameters
    ----------
    rows, cols : int
        Both even.
    mac : type
        `MultiplyAdd`, or a subclass for an FPGA.

    Members, Attributes
    -------------------
    As those of `SystolicArray`.
    """

    group = 2

    def __init__(self, *, rows: int, cols: int, mac: type[MultiplyAdd] = MultiplyAdd) -> None:
        for name, value in (("rows", rows), ("cols", cols)):
            if not isinstance(value, int) or value < 2 or value % 2:
                raise ValueError(f"{name} must be an even positive integer, not {value!r}")
        self.rows = rows
        self.cols = cols
        self.mac = mac
        self.width = sum_width(rows)
        self.latency = rows // 2 - 1 + PackedCell.LATENCY
        self.swap_hold = rows // 2
        super().__init__(array_signature(rows=rows, cols=cols))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chains, pairs = self.rows // 2, self.cols // 2
        # Row r of chain r // 2 is a cycle later than the row above, its chain than the one above.
        acts = [delayed(m, self.act[r], r // 2 + r % 2) for r in range(self.rows)]
        swaps = self._wave(m, self.swap, chains + pairs, name="swap")
        weights = [
            delayed(m, Cat(left[:8], self.wgt[2 * p + 1]), p)
            for p, left in enumerate(self.wgt[2 * p] ^ -_OFFSET for p in range(pairs))
        ]
        turn = self._turn(m)
        shifts = self._wave(m, self.shift, pairs, name="shift")
        turns = [delayed(m, turn, p) for p in range(pairs)]
        offset = self._offset(m)
        above: list[PackedCell] = []
        for k in range(chains):
            here: list[PackedCell] = []
            for p in range(pairs):
                cell = PackedCell(width=self.width, mac=self.mac)
                m.submodules[f"cell_{k}_{p}"] = cell
                for row in range(2):
                    act = here[-1].o_act[row] if here else acts[2 * k + row]
                    m.d.comb += [
                        cell.i_act[row].eq(act),
                        cell.i_swap[row].eq(swaps[k + row + p]),
                        cell.i_take[row].eq(shifts[p] & turns[p][2 * k + row]),
                    ]
                m.d.comb += cell.i_wgt.eq(weights[p])
                if above:
                    m.d.comb += [
                        cell.i_sum[0].eq(above[p].o_sum[0]),
                        cell.i_sum[1].eq(above[p].o_sum[1]),
                    ]
                else:
                    m.d.comb += cell.i_sum[0].eq(delayed(m, offset, p))
                here.append(cell)
            above = here
        for p, cell in enumerate(above):
            m.d.comb += [self.sums[2 * p + c].eq(cell.o_sum[c]) for c in range(2)]
        return m

    def _turn(self, m: Module) -> Value:
        """Whose weights come with the next shift, one bit for each row: the last row is first."""
        turn = Signal(self.rows, init=1 << (self.rows - 1))
        with m.If(self.shift):
            m.d.sync += turn.eq(turn.rotate_right(1))
        return turn

    def _wave(self, m: Module, value: Value, steps: int, *, name: str) -> list[Value]:
        """`value` as it was 0 to `steps` - 1 cycles ago; reset, as it makes things happen."""
        wave: list[Value] = [value]
        for step in range(1, steps):
            later = Signal(name=f"{name}_{step}")
            m.d.sync += later.eq(wave[-1])
            wave.append(later)
        return wave

    def _offset(self, m: Module) -> Value:
        """-128 * the sum of a word's activations, when the top cells' `i_sum` wants it."""
        sums: list[Value] = list(self.act)
        cycles = 0
        while len(sums) > 1:
            groups = [sums[n : n + 3] for n in range(0, len(sums), 3)]
            sums = []
            for group in groups:
                total = sum(group[1:], group[0])
                stage = Signal(total.shape(), name=f"acts_{cycles}_{len(sums)}", reset_less=True)
                m.d.sync += stage.eq(total)
                sums.append(stage)
            cycles += 1
        negative = Signal(signed(self.width), reset_less=True)
        m.d.sync += negative.eq(-sums[0] * _OFFSET)
        return delayed(m, negative, PackedCell.LATENCY - 2 - cycles)
