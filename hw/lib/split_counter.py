"""Long counts, in two halves."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value

from penstock.hw.lib.countdown import Countdown
from penstock.hw.lib.timing_policy import FAST, TimingPolicy

__all__ = ["COUNT_LATENCY", "counted", "counted_down"]

# Cycles from what is counted to the count that has it.
COUNT_LATENCY = 2

_LOW_BITS = 16
# Most bits of the remainder's upper half; least bits of the lower half, which must not run out
# before the borrow has reached the upper one.
_UPPER_BITS = 16
_LEAST = 8


def counted(
    m: Module,
    more: Value,
    *,
    bits: int,
    name: str,
    clear: Value | None = None,
    timing: TimingPolicy = FAST,
) -> Value:
    """Return how much of `more` has come until `COUNT_LATENCY` cycles ago, modulo ``2**bits``.

    A sum of 32 bits is a long path: here the lower half's carry reaches the upper half a cycle
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
    timing : TimingPolicy
        Without `split_sums`, the count is one register behind a register of `more`.

    Raises
    ------
    ValueError
        If `more` is too wide or there are no bits.
    """
    if bits < 1 or len(more) > _LOW_BITS:
        raise ValueError(f"cannot count {len(more)} bits in {bits!r}")
    if not timing.split_sums:
        return _counted_whole(m, more, bits=bits, name=name, clear=clear)
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


def _counted_whole(m: Module, more: Value, *, bits: int, name: str, clear: Value | None) -> Value:
    """Count as `counted` does, in a single sum."""
    # Reset as the halves are: what came in the cycle before a reset or a `clear` is forgotten.
    late = Signal(len(more), name=f"{name}_late", reset_less=clear is not None)
    count = Signal(bits, name=name, reset_less=clear is not None)
    m.d.sync += [late.eq(more), count.eq(count + late)]
    if clear is not None:
        cleared = Signal(name=f"{name}_cleared")
        m.d.sync += cleared.eq(clear)
        with m.If(clear):
            m.d.sync += late.eq(0)
        with m.If(cleared):
            m.d.sync += count.eq(0)
    return count


def counted_down(
    m: Module,
    *,
    take: Value,
    value: Value,
    step: Value,
    name: str,
    one: Value | None = None,
    timing: TimingPolicy = FAST,
) -> Signal:
    """Return whether one step is left, of as many as were taken.

    A borrow reaches the upper half of what is left a cycle later; by then the lower half is far
    from its end.

    Parameters
    ----------
    m : Module
        Gets the registers.
    take : Value, 1 bit
        Begin with `value`; goes before `step`.
    value : Value
        Steps, at least 1.
    step : Value, 1 bit
        One step less is left.
    name : str
        Of the registers.
    one : Value, 1 bit, or None
        Whether `value` is 1, if that is known.
    timing : TimingPolicy
        Without `split_sums`, the count is one register.
    """
    if not timing.split_sums:
        whole = Countdown(m, len(value), name=name, end=1)
        with m.If(take):
            whole.load(value, last=one)
        with m.Elif(step):
            whole.step()
        return whole.last
    low_bits = max(_LEAST, len(value) - _UPPER_BITS)
    low, high = (
        Signal(width, name=f"{name}_{half}", reset_less=True)
        for half, width in (("low", low_bits), ("high", len(value) - low_bits))
    )
    borrow = Signal(name=f"{name}_borrow", reset_less=True)
    last = Signal(name=f"{name}_last", reset_less=True)
    m.d.sync += [high.eq(high - borrow), borrow.eq(0)]
    with m.If(take):
        m.d.sync += [
            Cat(low, high).eq(value),
            last.eq(value == 1 if one is None else one),
        ]
    with m.Elif(step):
        m.d.sync += [
            low.eq(low - 1),
            borrow.eq(low == 0),
            last.eq((low == 2) & (high == 0)),
        ]
    return last
