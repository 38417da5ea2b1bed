# amaranth: UnusedElaboratable=no
"""Timing of the array: which activation meets which weight, and when the sum comes out."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed

from penstock.hw.array.packed import MultiplyAdd, PackedCell
from penstock.hw.array.pe import ProcessingElement
from penstock.sim.formal.checking.harness import Harness

__all__ = ["packed_array", "skew", "systolic_array"]


def _ago(h: Harness, value: Value, cycles: int, name: str) -> Value:
    """`value` of `cycles` cycles ago; arbitrary before the reset."""
    for _ in range(cycles):
        later = Signal(value.shape(), name=name, reset_less=True)
        h.m.d.sync += later.eq(value)
        value = later
    return value


def _passed(h: Harness, cycles: int) -> Value:
    """Whether so many cycles have passed."""
    passed = Signal(range(cycles + 1), name="passed")
    h.m.d.sync += passed.eq(passed + (passed != cycles))
    return passed == cycles


def skew(hw: Any, *, lanes: int) -> Harness:
    """The skew registers at the edges alone."""
    h = Harness()
    given = [h.free(2, f"lane{k}") for k in range(lanes)]
    for k, lane in enumerate(hw._skewed(h.m, given)):
        same = Value.cast(lane) == _ago(h, given[k], k, f"lane{k}_ago")
        h.claim(f"lane {k} comes {k} cycles later", ~_passed(h, k) | same)
    bit = h.free(1, "bit")
    count = 2 * lanes
    for k, late in enumerate(hw._delayed(h.m, bit, count, name="history")):
        was = _ago(h, bit, k, f"bit{k}_ago")
        h.claim(f"a bit of {k} cycles ago", late == (was & _passed(h, k)))
    h.cover("all lanes are full", _passed(h, count) & bit)
    return h


class _OneBitCell(ProcessingElement):
    """As the cell, but numbers are of one bit, modulo 2."""

    LATENCY = 3  # the claims' own value, independent of the cell's

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act, shadow, weight, product, total = (
            Signal(name=name, reset_less=True)
            for name in ("act", "shadow", "weight", "product", "total")
        )
        m.d.sync += [
            act.eq(self.i_act[0]),
            product.eq(act & weight),
            total.eq(self.i_sum[0] ^ product),
            shadow.eq(Mux(self.i_shift, self.i_wgt[0], shadow)),
            weight.eq(Mux(self.i_swap, shadow, weight)),
        ]
        m.d.comb += [self.o_act.eq(act), self.o_wgt.eq(shadow), self.o_sum.eq(total)]
        return m


class _OneBitPair(PackedCell):
    """As the packed cell, but numbers are of one bit, modulo 2."""

    LATENCY = 6  # likewise

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The lower row's activation comes a cycle later.
        late = [Signal(2, name=f"late{k}", reset_less=True) for k in range(self.LATENCY - 3)]
        products: list[Value] = []
        for row in range(2):
            act, shadow, weight, product = (
                Signal(width, name=f"{name}{row}", reset_less=True)
                for name, width in (("act", 1), ("shadow", 2), ("weight", 2), ("product", 2))
            )
            m.d.sync += [
                act.eq(self.i_act[row][0]),
                shadow.eq(Mux(self.i_take[row], Cat(self.i_wgt[0], self.i_wgt[8]), shadow)),
                weight.eq(Mux(self.i_swap[row], shadow, weight)),
                product.eq(Mux(act, weight, 0)),
            ]
            m.d.comb += self.o_act[row].eq(act)
            products.append(product)
        upper = Signal(2, name="upper", reset_less=True)
        m.d.sync += [upper.eq(products[0]), late[0].eq(upper ^ products[1])]
        m.d.sync += [new.eq(old) for new, old in zip(late[1:], late)]
        for column in range(2):
            total = Signal(name=f"total{column}", reset_less=True)
            m.d.sync += total.eq(self.i_sum[column][0] ^ late[-2][column])
            m.d.comb += self.o_sum[column].eq(total)
        return m


def _blocks(h: Harness, dut: Any, *, whole: bool) -> None:
    """Claim the sums for words and weight blocks in any legal order."""
    rows, cols = dut.rows, dut.cols
    # The weights that were shifted in, the last ones in row 0, and the active ones.
    shadow, weight = (
        [Signal(cols, name=f"{name}{r}", reset_less=True) for r in range(rows)]
        for name in ("shadow", "weight")
    )
    word = Signal(cols, name="word")
    h.m.d.comb += word.eq(Cat(weight[0] for weight in dut.wgt))
    with h.m.If(dut.shift):
        h.m.d.sync += [new.eq(old) for new, old in zip(shadow, [word, *shadow])]
    with h.m.If(dut.swap):
        h.m.d.sync += [new.eq(old) for new, old in zip(weight, shadow)]
    # The state at the reset is unknown.
    row = Signal(range(rows), name="row")
    shifted, known = Signal(name="shifted"), Signal(name="known")
    with h.m.If(dut.shift):
        h.m.d.sync += row.eq(Mux(row == rows - 1, 0, row + 1))
        with h.m.If(row == rows - 1):
            h.m.d.sync += shifted.eq(1)
    with h.m.If(dut.swap):
        h.m.d.sync += known.eq(shifted)
    knows = Mux(dut.swap, shifted, known)
    if whole:
        h.assume(~dut.swap | (row == 0))

    # The shadow registers hold while the wavefront passes.
    hold = Signal(range(max(dut.swap_hold, 2)), name="hold")
    with h.m.If(dut.swap):
        h.m.d.sync += hold.eq(dut.swap_hold - 1)
    with h.m.Elif(hold != 0):
        h.m.d.sync += hold.eq(hold - 1)
    h.assume(~dut.shift | ~(dut.swap | (hold != 0)))

    for c in range(cols):
        total = Signal(name=f"sum{c}")
        terms = [dut.act[r][0] & Mux(dut.swap, shadow[r][c], weight[r][c]) for r in range(rows)]
        h.m.d.comb += total.eq(Cat(terms).xor())
        cycles = dut.latency + c // dut.group
        due = _ago(h, knows, cycles, f"knows{c}") & _passed(h, cycles)
        was = _ago(h, total, cycles, f"sum{c}_ago")
        h.claim(f"the sum of column {c}", ~due | (Value.cast(dut.sums[c])[0] == was))
    again = Signal(name="again")
    with h.m.If(due & dut.swap):
        h.m.d.sync += again.eq(1)
    h.cover("a second block is at work", due & again)


def systolic_array(hw: Any, *, rows: int, cols: int) -> Harness:
    """The plain array."""
    h = Harness()
    hw.ProcessingElement = _OneBitCell
    h.m.submodules.dut = dut = hw.SystolicArray(rows=rows, cols=cols)
    h.free_inputs(dut)
    _blocks(h, dut, whole=False)
    return h


def packed_array(hw: Any, *, rows: int, cols: int) -> Harness:
    """The array of DSPs, and the initial sums of its left columns."""
    h = Harness()
    made: list[_OneBitPair] = []

    class Kept(_OneBitPair):
        def __init__(self, *, width: int, mac: type[MultiplyAdd]) -> None:
            super().__init__(width=width, mac=mac)
            made.append(self)

    claimed = hw.PackedCell.LATENCY
    hw.PackedCell = Kept
    dut = hw.PackedArray(rows=rows, cols=cols)
    h.m.submodules.dut = dut.elaborate(None)
    h.free_inputs(dut)
    _blocks(h, dut, whole=True)
    h.claim("cells take as long", claimed == _OneBitPair.LATENCY)
    start = Signal(signed(dut.width), name="start")
    h.m.d.comb += start.eq(-128 * sum(dut.act[1:], dut.act[0]))
    for p in range(cols // 2):
        cycles = _OneBitPair.LATENCY - 1 + p
        due = _passed(h, cycles)
        was = _ago(h, start, cycles, f"start{p}")
        h.claim(f"sums of pair {p} start from -128 times", ~due | (made[p].i_sum[0] == was))
    return h
