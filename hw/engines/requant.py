"""Requantisation of accumulators to uint8 activations."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.delay import delayed
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.golden.fixed import MULTIPLIER_BITS, SHIFT_BITS

__all__ = ["Requantise"]

# The multiplication is split so that each half fits one DSP (25x18 signed on Zynq-7, 18x18 on
# ECP5) and is followed by one addition.
_HALF = 16


class Requantise(wiring.Component):
    """One requantise lane: ``y = clip(rne((acc + bias) * multiplier / 2**shift), 0, 255)``.

    A free-running pipeline: it takes a value each cycle and never stalls; whoever feeds it knows
    which results mean something.  Bit for bit `models.golden.fixed.requantise`.

    ===== ===============================================================
    stage what its registers hold
    ===== ===============================================================
    1     acc + bias, the lower half (with `split_sums`, else all of it)
    2     the upper half
    3     the sum, 0 if negative (a negative sum rounds to at most 0)
    4     products of the low and the high half with the multiplier
    5     their sum, 49 bits
    6     that, shifted right by the multiple of 8 in `shift`
    7     shifted by the rest: 8 bits, overflow, half bit, sticky bit
    8     rounded to even and clipped
    ===== ===============================================================

    Members
    -------
    acc, bias : In(signed(32))
    multiplier : In(17)
    shift : In(5)
    y : Out(8)
        The result for the inputs of `LATENCY` cycles before.
    """

    LATENCY = 8

    def __init__(self) -> None:
        super().__init__(
            {
                "acc": In(signed(32)),
                "bias": In(signed(32)),
                "multiplier": In(MULTIPLIER_BITS),
                "shift": In(SHIFT_BITS),
                "y": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        total = Signal(signed(33))
        positive = Signal(32, reset_less=True)
        multiplier = delayed(m, self.multiplier, 3)
        products = [
            Signal(_HALF + MULTIPLIER_BITS, name=f"product_{k}", reset_less=True) for k in range(2)
        ]
        product = Signal(32 + MULTIPLIER_BITS, reset_less=True)
        m.d.comb += total.eq(self._sum(m, policy_of(platform)))
        m.d.sync += [
            positive.eq(Mux(total[-1], 0, total[:32])),
            products[0].eq(positive[:_HALF] * multiplier),
            products[1].eq(positive[_HALF:] * multiplier),
            product.eq(products[0] + Cat(Const(0, _HALF), products[1])),
        ]

        # The result needs 8 bits of the shifted product, whether there is anything above them
        # (it saturates), the bit below (half), and whether there is anything below that (sticky).
        # Stage 5 shifts by 0, 8, 16 or 24 and keeps 7 bits more for the rest of the shift.
        shift = delayed(m, self.shift, 5)
        kept = Signal(16, reset_less=True)  # half bit and 15 integer bits
        over = Signal(reset_less=True)
        sticky = Signal(reset_less=True)
        padded = Cat(Const(0, 1), product)
        with m.Switch(shift[3:]):
            for coarse in range(4):
                bottom = coarse * 8
                with m.Case(coarse):
                    m.d.sync += [
                        kept.eq(padded[bottom : bottom + 16]),
                        over.eq(padded[bottom + 16 :].any()),
                        sticky.eq(padded[:bottom].any()),
                    ]

        fine = delayed(m, shift[:3], 1)
        shifted = Signal(23)
        m.d.comb += shifted.eq(Cat(Const(0, 7), kept) >> fine)
        integer = Signal(8, reset_less=True)
        half = Signal(reset_less=True)
        rest = Signal(reset_less=True)
        saturate = Signal(reset_less=True)
        rounded = Signal(9)
        m.d.sync += [
            rest.eq(sticky | shifted[:7].any()),
            half.eq(shifted[7]),
            integer.eq(shifted[8:16]),
            saturate.eq(over | shifted[16:].any()),
        ]
        m.d.comb += rounded.eq(integer + (half & (rest | integer[0])))
        result = Signal(8, reset_less=True)
        m.d.sync += result.eq(Mux(saturate | rounded[8], 255, rounded[:8]))
        m.d.comb += self.y.eq(result)
        return m

    def _sum(self, m: Module, timing: TimingPolicy) -> Value:
        """Return acc + bias of two cycles ago."""
        if not timing.split_sums:
            total = Signal(signed(33), reset_less=True)
            m.d.sync += total.eq(self.acc + self.bias)
            return delayed(m, total, 1)
        # A sum of 33 bits is a long path.  A bit below both upper halves takes in the carry.
        low = Signal(_HALF + 1, reset_less=True)
        high = Signal(signed(33 - _HALF), reset_less=True)
        acc, bias = (delayed(m, value >> _HALF, 1) for value in (self.acc, self.bias))
        carry = low[-1]
        m.d.sync += [
            low.eq(self.acc[:_HALF] + self.bias[:_HALF]),
            high.eq((Cat(carry, acc).as_signed() + Cat(carry, bias).as_signed()) >> 1),
        ]
        return Cat(delayed(m, low[:-1], 1), high)
