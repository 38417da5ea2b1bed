"""Requantisation and the processing elements: their exact results, for all inputs."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed

from penstock.sim.formal.checking.harness import Harness

__all__ = ["fields", "halves", "negative", "packed_cell", "packed_product", "requantise"]


def _later(m: Module, value: Value, cycles: int) -> Value:
    for _ in range(cycles):
        step = Signal(value.shape(), name="later", reset_less=True)
        m.d.sync += step.eq(value)
        value = step
    return value


def _filled(h: Harness, cycles: int) -> Value:
    """Whether `cycles` cycles have passed, so that a pipeline is filled."""
    passed = Signal(range(cycles + 1), name="passed")
    h.m.d.sync += passed.eq(passed + (passed != cycles))
    return passed == cycles


def _round(product: Value, shift: Value) -> Value:
    """``clip(rne(product / 2**shift), 0, 255)`` of a signed number, from the definition."""
    floor = product >> shift
    rest = (product - (floor << shift)) << 1
    whole = Const(1, 1) << shift
    up = (rest > whole) | ((rest == whole) & floor[0])
    rounded = floor + up
    return Mux(rounded < 0, 0, Mux(rounded > 255, 255, rounded))[:8]


def requantise(hw: Any) -> Harness:
    h = Harness()
    h.m.submodules.dut = dut = hw.Requantise()
    h.free_inputs(dut)
    total = dut.acc + dut.bias
    positive = Signal(32, name="positive")
    h.m.d.comb += positive.eq(Mux(total[-1], 0, total[:32]))
    # The product from two halves, which `halves` proves; `negative` proves the case left out here.
    low, high = (positive[k : k + 16] * dut.multiplier for k in (0, 16))
    product = Signal(49, name="product")
    h.m.d.comb += product.eq(low + (high << 16))
    expected = Signal(8, name="expected")
    h.m.d.comb += expected.eq(_round(product, dut.shift))
    filled = _filled(h, dut.LATENCY)
    h.claim(
        "the result is what the formula says",
        ~filled | (dut.y == _later(h.m, expected, dut.LATENCY)),
    )
    h.cover("a result rounded to even", filled & (dut.y == 4))
    return h


def _one_more_bit(h: Harness, factors: dict[str, Value], bits: int) -> list[dict[str, Value]]:
    """Products of values and a number, accumulated from its highest bit: before a bit and after it.

    Before the bit they are arbitrary, in two's complement of `bits` bits; the initial value is 0.
    A property that holds for 0 and is preserved by each bit holds for the whole products.
    """
    bit = h.free(1, "bit")
    before: dict[str, Value] = {}
    after: dict[str, Value] = {}
    for name, factor in factors.items():
        before[name] = h.free(bits, f"{name}_before")
        after[name] = (2 * before[name] + Mux(bit, factor, 0))[:bits]
    return [before, after]


def halves(_: Any) -> Harness:
    """``x * m == (x % 2**16) * m + (x // 2**16) * m * 2**16``, by induction over the bits of m."""
    h = Harness()
    x = h.free(32, "x")
    before, after = (
        product["x"] == (product["low"] + (product["high"] << 16))[:49]
        for product in _one_more_bit(h, {"x": x, "low": x[:16], "high": x[16:]}, 49)
    )
    h.assume(before)
    h.claim("the product is that of the halves", after)
    h.cover("it can be so far", before)
    return h


def packed_product(hw: Any) -> Harness:
    """An activation times two packed weights is both products, by induction over bits."""
    h = Harness()
    left, right = h.free(8, "left"), h.free(signed(8), "right")
    packed = Signal(signed(hw.WEIGHT_BITS), name="packed")
    h.m.d.comb += packed.eq((right << hw._FIELD) + left)
    bits = hw.WEIGHT_BITS + 8
    before, after = (
        product["x"] == (product["left"] + (product["right"] << hw._FIELD))[:bits]
        for product in _one_more_bit(h, {"x": packed, "left": left, "right": right}, bits)
    )
    h.assume(before)
    h.claim("the product is both", after)
    h.claim("packed as the cell does it", packed[:8] == left)
    h.cover("it can be so far", before)
    return h


def fields(hw: Any) -> Harness:
    """Sum of two packed products: the fields are the sums, without a borrow between them."""
    h = Harness()
    lefts = [h.free(16, f"left{k}") for k in range(2)]
    rights = [h.free(signed(17), f"right{k}") for k in range(2)]
    for left, right in zip(lefts, rights):
        h.assume(left <= 255 * 255)
        h.assume((right <= 255 * 127) & (right >= -255 * 128))
    total = Signal(signed(48), name="total")
    h.m.d.comb += total.eq(sum(a + (b << hw._FIELD) for a, b in zip(lefts, rights)))
    field = hw._FIELD
    h.claim("left", total[:field] == lefts[0] + lefts[1])
    h.claim("right", total[field : 2 * field].as_signed() == rights[0] + rights[1])
    h.cover("the greatest", lefts[0] + lefts[1] == 2 * 255 * 255)
    return h


def packed_cell(hw: Any) -> Harness:
    """Weights shifted and swapped in, twice, and activations: sums of packed products."""
    h = Harness()
    width = 20
    h.m.submodules.dut = dut = hw.PackedCell(width=width)
    now = Signal(range(16), name="now")
    h.m.d.sync += now.eq(now + (now != 15))
    names = ("i_wgt", "i_act", "i_sum")
    for path, _, value in dut.signature.flatten(dut):
        if path[0] in names:
            target = Value.cast(value)
            h.m.d.comb += target.eq(h.free(len(target), "_".join(map(str, path))))
    # Each row shifts its weights in and swaps them, the lower one a cycle later; then again, while
    # the first ones are in use.
    products = []
    for k in range(2):
        take, swap = ((now == k + at) | (now == k + at + 4) for at in (0, 2))
        h.m.d.comb += [dut.i_take[k].eq(take), dut.i_swap[k].eq(swap)]
        shadow, weights = (
            Signal(16, name=f"{name}{k}", reset_less=True) for name in ("shadow", "weights")
        )
        with h.m.If(take):
            h.m.d.sync += shadow.eq(dut.i_wgt)
        with h.m.If(swap):
            h.m.d.sync += weights.eq(shadow)
        packed = Signal(signed(hw.WEIGHT_BITS), name=f"packed{k}")
        gap = Const(0, hw.WEIGHT_BITS - 16)
        h.m.d.comb += packed.eq(Cat(weights[:8], gap, weights[8:]))
        product = Signal(signed(hw.WEIGHT_BITS + 8), name=f"product{k}")
        h.m.d.comb += product.eq(_later(h.m, dut.i_act[k], 1) * packed)
        products.append(product)
    # The upper row's activation enters a cycle before the lower row's.
    both = Signal(signed(48), name="both")
    h.m.d.comb += both.eq(products[1] + _later(h.m, products[0], 1))
    field = 17
    parts = both[:field], both[field : 2 * field].as_signed()
    known = now >= 2 + dut.LATENCY
    for k, part in enumerate(parts):
        part = _later(h.m, part, dut.LATENCY - 2)
        total = Signal(signed(width), name=f"expected{k}")
        h.m.d.comb += total.eq(_later(h.m, dut.i_sum[k], 1) + part)
        h.claim(f"sum of column {k}", ~known | (dut.o_sum[k] == total))
    for k in range(2):
        passed = _later(h.m, dut.i_act[k], 1)
        h.claim(f"activations of row {k} are passed on", (now == 0) | (dut.o_act[k] == passed))
    h.cover("sums are known", known & (dut.o_sum[0] != 0))
    return h


def negative(_: Any) -> Harness:
    """A sum below 0 gives 0, whatever the multiplier and the shift."""
    h = Harness()
    product = h.free(signed(50), "product")
    shift = h.free(5, "shift")
    result = Signal(8)
    h.m.d.comb += result.eq(_round(product, shift))
    h.claim("a negative product gives 0", (product >= 0) | (result == 0))
    h.cover("one does", product < 0)
    return h
