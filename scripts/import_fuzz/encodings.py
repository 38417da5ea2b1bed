"""Scales, zero points and quantised constants of random quantised graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.import_fuzz.draft import Draft

__all__ = [
    "Codes",
    "Encoded",
    "Integers",
    "codes_for",
    "integer_weights",
    "scale_name",
    "zero_name",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Codes:
    """What the codes of a map mean."""

    scale: float
    zero: int
    signed: bool

    @property
    def kind(self) -> Any:
        return np.int8 if self.signed else np.uint8


@dataclass(frozen=True)
class Encoded:
    """A tensor of codes.

    `size` is about the magnitude of the values, `positive` whether none is below 0.
    """

    name: str
    shape: tuple[int, ...]
    codes: Codes
    size: float = 1.0
    positive: bool = False


def codes_for(
    draft: Draft, size: float, *, positive: bool, signed: bool, flush: bool = False
) -> Codes:
    """Return an encoding for values of about this size; `flush`: its least code is 0."""
    span = np.float32(size * draft.dice.uniform(2.0, 4.0))
    if positive or flush:
        zero = -128 if signed else 0
        scale = span / 255
    else:
        zero = draft.whole(-20, 20) + (0 if signed else 128)
        if signed and draft.chance(0.3):
            zero = 0
        scale = 2 * span / 255
    if draft.chance(0.1):
        # What saturates, and what uses few codes.
        scale = scale * draft.pick(0.3, 3.0)
    return Codes(float(np.float32(scale)), zero, signed)


def scale_name(draft: Draft, codes: Codes, *, scalar: bool = True) -> str:
    """Return a constant with the scale."""
    shape = () if scalar or draft.chance(0.9) else (1,)
    return draft.constant(np.full(shape, codes.scale, np.float32), plain=True)


def zero_name(draft: Draft, codes: Codes, *, scalar: bool = True) -> str:
    """Return a constant with the zero point."""
    shape = () if scalar or draft.chance(0.9) else (1,)
    return draft.constant(np.full(shape, codes.zero, codes.kind), plain=True)


@dataclass(frozen=True)
class Integers:
    """Weights, their scales, and the zero points: None where they are left out."""

    values: Array
    scale: Array
    zeros: Array | None


def integer_weights(
    draft: Draft,
    shape: tuple[int, ...],
    axis: int,
    *,
    signed: bool,
    columns: bool = True,
    zeros: bool = True,
) -> Integers:
    """Return quantised weights whose outputs are along `axis`.

    `columns`: a scale for each output is possible; `zeros`: zero points may be left out.
    """
    count = shape[axis]
    several = columns and draft.chance(0.5)
    depth = int(np.prod(shape)) // count
    base = draft.dice.uniform(0.6, 1.2) / np.sqrt(depth) / 127 * 2
    number = count if several else 1
    steps = (base * draft.rng.uniform(0.5, 1.5, number)).astype(np.float32)
    values = np.clip(np.rint(draft.rng.normal(0, 45, shape)), -127, 127).astype(np.int64)
    if signed:
        offsets = np.zeros(number, np.int64)
        if draft.chance(0.1):
            offsets = draft.rng.integers(-4, 5, number)
    else:
        offsets = (
            draft.rng.integers(110, 146, number) if draft.chance(0.8) else np.full(number, 128)
        )
    kind, low, high = (np.int8, -128, 127) if signed else (np.uint8, 0, 255)
    along = [-1 if i == axis else 1 for i in range(len(shape))]
    stored = np.clip(values + offsets.reshape(along), low, high).astype(kind)
    left_out = zeros and signed and not offsets.any() and draft.chance(0.3)
    shaped = () if not several and draft.chance(0.7) else (number,)
    return Integers(
        stored,
        steps.reshape(shaped),
        None if left_out else offsets.astype(kind).reshape(shaped),
    )
