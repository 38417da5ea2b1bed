"""Delay of a value by a constant number of cycles."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib import data

__all__ = ["delayed", "staged"]


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


def staged(m: Module, value: data.View, *, name: str) -> data.View:
    """Return `value`, a structure with a bit `valid`, as it was a cycle ago.

    Only `valid` is reset: a reset of all bits of long pipelines is a net of a thousand sinks.
    """
    valid = Signal(name=f"{name}_valid")
    rest = Signal(value.shape(), name=f"{name}_rest", reset_less=True)
    stage = Signal(value.shape(), name=name)
    m.d.sync += [valid.eq(value.valid), rest.eq(value)]
    m.d.comb += [stage.eq(rest), stage.valid.eq(valid)]
    return stage
