"""A register that equals another one, on purpose."""

from __future__ import annotations

from typing import Any

from amaranth import ShapeLike, Signal

__all__ = ["twin"]


def twin(shape: ShapeLike = 1, *, name: str, **options: Any) -> Signal:
    """Return a register that synthesis keeps beside equal ones, where it would make them one.

    For sinks that are many, or far from each other on the chip: one net to all of them is a long
    one.  The attribute is what `hw.flow.synthesis` goes by.

    Parameters
    ----------
    shape, name, options
        Of the `Signal`.
    """
    return Signal(shape, name=name, attrs={"keep": 1}, **options)
