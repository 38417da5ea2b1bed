"""Long counts, in two halves."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value

__all__ = ["COUNT_LATENCY", "counted"]

# Cycles from what is counted to the count that has it.
COUNT_LATENCY = 2

_LOW_BITS = 16


def counted(m: Module, more: Value, *, bits: int, name: str, clear: Value | None = None) -> Value:
    """Return how much of `more` has come until `COUNT_LATENCY` cycles ago, modulo ``2**bits``.

    A sum of 32 bits is a long path: here the upper half hears of the lower half's carry a cycle
    later.  The halves that are shown belong together.

    Parameters
    ----------
    m : Module
        Gets the registers.
    more : Value
        Unsigned, at most 16 bits.
    bits : int
        Of the count.
    name : str
        Of the registers.
    clear : Value, 1 bit, or None
        Forget all that has come, this cycle's included.  With it the registers have no reset, and
        the count means nothing before the first `clear`.

    Raises
    ------
    ValueError
        If `more` is too wide or there are no bits.
    """
    if bits < 1 or len(more) > _LOW_BITS:
        raise ValueError(f"cannot count {len(more)} bits in {bits!r}")
    low_bits = min(bits, _LOW_BITS)
    low, shown, high = (
        Signal(width, name=f"{name}_{part}", reset_less=clear is not None)
        for part, width in (("low", low_bits), ("shown", low_bits), ("high", bits - low_bits))
    )
    carry = Signal(name=f"{name}_carry", reset_less=clear is not None)
    m.d.sync += [Cat(low, carry).eq(low + more), shown.eq(low), high.eq(high + carry)]
    if clear is not None:
        cleared = Signal(name=f"{name}_cleared")
        m.d.sync += cleared.eq(clear)
        with m.If(clear):
            m.d.sync += Cat(low, carry).eq(0)
        with m.If(cleared):
            m.d.sync += high.eq(0)
    return Cat(shown, high)
