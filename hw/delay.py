"""Delay of a value by a constant number of cycles."""

from __future__ import annotations

from amaranth import Module, Signal, Value

__all__ = ["delayed"]


def delayed(m: Module, value: Value, cycles: int) -> Value:
    """Return `value` as it was `cycles` cycles ago, through registers that `m` gets.

    The registers are not reset: only for data that some valid bit goes with.

    Raises
    ------
    ValueError
        If `cycles` is negative.
    """
    if cycles < 0:
        raise ValueError(f"cycles must not be negative, not {cycles!r}")
    for _ in range(cycles):
        stage = Signal(value.shape(), name="delayed", reset_less=True)
        m.d.sync += stage.eq(value)
        value = stage
    return value
