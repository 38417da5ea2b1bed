"""Registers that hold sums, made in two halves where the timing policy says so.

A sum of 32 bits is a long path.  In two halves, the carry of the lower one reaches the upper one a
cycle later; what differs is who waits for it.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, Value

from penstock.hw.lib.timing_policy import TimingPolicy

__all__ = ["SplitSum", "SplitTotal"]

# Of the upper half.
_UPPER_BITS = 16


class _Halves:
    """The registers of a sum: two halves and a carry, or all of it in the lower one.

    Parameters
    ----------
    m : Module
        Gets the registers.
    bits : int
    name : str
        Of the registers.
    timing : TimingPolicy
    """

    def __init__(self, m: Module, bits: int, *, name: str, timing: TimingPolicy) -> None:
        self._m = m
        low_bits = max(bits - _UPPER_BITS, 1) if timing.split_sums else bits
        self._low = Signal(low_bits, name=f"{name}_low", reset_less=True)
        self._carry = Signal(name=f"{name}_carry", reset_less=True)
        self._high = Signal(bits - low_bits, name=f"{name}_high", reset_less=True)


class SplitSum(_Halves):
    """A register of a sum that is read into another register: the carry is added on the way.

    Its parameters are those of `_Halves`.

    Attributes
    ----------
    value : Value
        The sum.  Of its upper half, half a sum is still to be made.
    """

    def __init__(self, m: Module, bits: int, *, name: str, timing: TimingPolicy) -> None:
        super().__init__(m, bits, name=name, timing=timing)
        self._settled = (self._high + self._carry)[: len(self._high)]
        self.value = Cat(self._low, self._settled)

    def add(self, a: Value, b: Value) -> None:
        """Become the sum of two numbers of as many bits, where the module's conditions hold."""
        n = len(self._low)
        self._m.d.sync += [
            Cat(self._low, self._carry).eq(a[:n] + b[:n]),
            self._high.eq(a[n:] + b[n:]),
        ]

    def round_up(self, bits: int) -> None:
        """Become the next multiple of ``2**bits`` that is greater."""
        self._m.d.sync += [
            Cat(self._low, self._carry).eq(Cat(Const(0, bits), self._low[bits:] + 1)),
            self._high.eq(self._settled),
        ]


class SplitTotal(_Halves):
    """A running total that has a cycle to settle after each addition.

    Its parameters are those of `_Halves`.

    Attributes
    ----------
    value : Value
        The total, right from the second cycle after `add` on.
    """

    def __init__(self, m: Module, bits: int, *, name: str, timing: TimingPolicy) -> None:
        super().__init__(m, bits, name=name, timing=timing)
        self.value = Cat(self._low, self._high)
        m.d.sync += [self._carry.eq(0), self._high.eq(self._high + self._carry)]

    def load(self, value: Value) -> None:
        """Become `value`, where the module's conditions hold."""
        self._m.d.sync += self.value.eq(value)

    def add(self, step: Value | int) -> None:
        """Become greater by `step`, which fits into the lower half."""
        self._m.d.sync += Cat(self._low, self._carry).eq(self._low + step)
