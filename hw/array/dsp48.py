"""A multiplier with accumulator cascade: what one DSP48E1 of a 7-series FPGA does for the array.

It holds two weights, the one it multiplies by and the next one.

`MultiplyAdd` is the behaviour, for simulators and other FPGAs; `Dsp48e1` is the primitive.
"""

from __future__ import annotations

from amaranth import Cat, ClockSignal, Const, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ACC_BITS", "Dsp48e1", "MultiplyAdd", "WEIGHT_BITS"]

# The primitive's multiplier and its accumulator.
WEIGHT_BITS = 25
ACC_BITS = 48


class MultiplyAdd(wiring.Component):
    """``sum = activation * weight``, plus the sum of the one above where there is one.

    Activation, product and sum have a register each, the weight has two::

        cycle            0            1                2           3
                         i_act  --> [activation] --> [product] --> [sum] --> o_sum, o_cascade
        i_wgt --> [next weight] --> [weight]                         ^
                                             i_cascade, in cycle 2 --'

    Parameters
    ----------
    cascade : bool
        Whether it adds `i_cascade`.

    Members
    -------
    i_act : In(8)
    i_wgt : In(signed(25))
    i_take : In(1)
        `i_wgt` becomes the next weight.
    i_swap : In(1)
        The next weight (not the one taken in this cycle) becomes the weight; the activation of this
        cycle is multiplied by it.
    i_cascade : In(signed(48))
        From the `o_cascade` of another one, and nothing else; only with `cascade`.
    o_cascade : Out(signed(48))
        The sum, to another one's `i_cascade`.
    o_sum : Out(signed(48))
        The sum, `LATENCY` cycles after the activation.
    """

    LATENCY = 3

    def __init__(self, *, cascade: bool) -> None:
        if not isinstance(cascade, bool):
            raise ValueError(f"cascade must be True or False, not {cascade!r}")
        self.cascade = cascade
        super().__init__(
            {
                "i_act": In(8),
                "i_wgt": In(signed(WEIGHT_BITS)),
                "i_take": In(1),
                "i_swap": In(1),
                **({"i_cascade": In(signed(ACC_BITS))} if cascade else {}),
                "o_cascade": Out(signed(ACC_BITS)),
                "o_sum": Out(signed(ACC_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act = Signal(8, reset_less=True)
        following = Signal(signed(WEIGHT_BITS), reset_less=True)
        weight = Signal(signed(WEIGHT_BITS), reset_less=True)
        product = Signal(signed(WEIGHT_BITS + 8), reset_less=True)
        total = Signal(signed(ACC_BITS), reset_less=True)
        with m.If(self.i_take):
            m.d.sync += following.eq(self.i_wgt)
        with m.If(self.i_swap):
            m.d.sync += weight.eq(following)
        m.d.sync += [
            act.eq(self.i_act),
            product.eq(act * weight),
            total.eq(product + self.i_cascade if self.cascade else product),
        ]
        m.d.comb += [self.o_sum.eq(total), self.o_cascade.eq(total)]
        return m


# OPMODE: the multiplier's two partial products, plus nothing or the cascade.
_PRODUCT = 0b000_01_01
_PRODUCT_AND_CASCADE = 0b001_01_01


class Dsp48e1(MultiplyAdd):
    """The same, as the primitive.  Its control inputs are constants, not registered."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act = Signal(18)
        m.d.comb += act.eq(self.i_act)
        parameters = {
            **dict.fromkeys(("ACASCREG", "AREG"), 2),
            **dict.fromkeys(("BCASCREG", "BREG", "MREG", "PREG"), 1),
            **dict.fromkeys(("ADREG", "CREG", "DREG", "INMODEREG", "OPMODEREG", "ALUMODEREG"), 0),
            **dict.fromkeys(("CARRYINREG", "CARRYINSELREG"), 0),
            "A_INPUT": "DIRECT",
            "B_INPUT": "DIRECT",
            "USE_DPORT": "FALSE",
            "USE_MULT": "MULTIPLY",
            "USE_PATTERN_DETECT": "NO_PATDET",
            "USE_SIMD": "ONE48",
        }
        zeros = {
            "ALUMODE": 4,
            "CARRYIN": 1,
            "CARRYINSEL": 3,
            "INMODE": 5,
            "D": 25,
            "ACIN": 30,
            "BCIN": 18,
            **{f"RST{register}": 1 for register in ("A", "B", "C", "D", "M", "P")},
            **{f"RST{register}": 1 for register in ("ALLCARRYIN", "ALUMODE", "CTRL", "INMODE")},
            **{f"CE{register}": 1 for register in ("B1", "AD", "C", "D")},
            **{f"CE{register}": 1 for register in ("ALUMODE", "CARRYIN", "CTRL", "INMODE")},
        }
        m.submodules.dsp = Instance(
            "DSP48E1",
            *(("p", name, value) for name, value in parameters.items()),
            *(("i", name, Const(0, width)) for name, width in zeros.items()),
            i_CLK=ClockSignal(),
            # The multiplier takes 25 bits of A and none of C.  Ones are what wires of this FPGA are
            # at rest; zeros would have to be routed.
            i_A=Cat(self.i_wgt, Const(-1, 30 - WEIGHT_BITS)),
            i_C=Const(-1, 48),
            i_B=act,
            i_CEA1=self.i_take,
            i_CEA2=self.i_swap,
            i_CEB2=Const(1),
            i_CEM=Const(1),
            i_CEP=Const(1),
            i_OPMODE=Const(_PRODUCT_AND_CASCADE if self.cascade else _PRODUCT, 7),
            i_PCIN=self.i_cascade if self.cascade else Const(0, ACC_BITS),
            o_P=self.o_sum,
            o_PCOUT=self.o_cascade,
        )
        return m
