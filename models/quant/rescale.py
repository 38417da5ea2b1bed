"""Scales of networks quantised by other tools, as the hardware's multipliers and shifts.

Any positive scale becomes ``m / 2**s`` with `m` of 17 bits; an output's zero point is folded into
the bias.  Both are rounded, so results may rarely differ from onnxruntime's by one step; layers
that could differ by more are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.fixed import MULTIPLIER_BITS, SHIFT_BITS

__all__ = ["add_arrays", "conv_arrays", "multiplier_and_shift"]

Array = NDArray[Any]

_MAX_SHIFT = (1 << SHIFT_BITS) - 1
_MAX_WEIGHT = 127

# Two values less than a step apart are at most one step apart after rounding.
_MAX_ERROR = 1.0


def multiplier_and_shift(scale: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `m` below 2**17 and `s` of 0 to 31 with ``m / 2**s`` nearest to positive scales.

    Raises
    ------
    ValueError
        If a scale is not a positive number, or too large.
    """
    scale = np.asarray(scale, np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("a scale that is not a positive number")
    shift = np.minimum(MULTIPLIER_BITS - 1 - np.floor(np.log2(scale)), _MAX_SHIFT).astype(np.int64)
    multiplier = np.rint(scale * 2.0**shift).astype(np.int64)
    over = multiplier >= 1 << MULTIPLIER_BITS
    shift = shift - over
    multiplier = np.where(over, multiplier >> 1, multiplier)
    if shift.min() < 0:
        raise ValueError(f"a scale of {float(scale.max()):g} is too large")
    return multiplier, shift


def conv_arrays(
    weight: Array, bias: Array, scale: Array, *, in_zero: int, out_zero: int
) -> dict[str, Any]:
    """Return weight, bias, multiplier and shift of a layer from another quantiser's numbers.

    Parameters
    ----------
    weight : integer array (out_ch, ...)
        The weights, with their zero point subtracted.
    bias : integer array (out_ch,)
    scale : float32 array (out_ch,)
        ``in_scale * weight_scale / out_scale``.
    in_zero, out_zero : int
        Codes of 0.

    Raises
    ------
    ValueError
        If a value does not fit, or the result could differ by more than one step.
    """
    if weight.size and (weight.min() < -128 or weight.max() > 127):
        raise ValueError(f"weights of {weight.min()} to {weight.max()} do not fit 8 bits")
    weight, bias = weight.astype(np.int64), bias.astype(np.int64)
    scale = np.asarray(scale, np.float64)
    wide = (-1, *[1] * (weight.ndim - 1))
    # What one of our units is in theirs: more than 1 where sums may leave 32 bits, as in channels
    # of nearly zero weights, whose bias has so fine a unit that it fills the accumulator.
    unit = np.ones(len(weight), np.int64)
    while True:
        coarse, short = np.rint(weight / unit.reshape(wide)), np.rint(bias / unit)
        multiplier, shift = multiplier_and_shift(scale * unit)
        real = multiplier * 2.0 ** -shift.astype(np.float64)
        moved = np.rint(out_zero / np.maximum(real, 2.0**-40))
        rows = coarse.reshape(len(weight), -1)
        total = short - in_zero * rows.sum(axis=1) + moved
        over = np.abs(total) + 255 * np.abs(rows).sum(axis=1) >= 1 << 31
        if not over.any():
            break
        if unit.max() >= 1 << 31:
            raise ValueError("sums that may leave 32 bits")
        unit = np.where(over, 2 * unit, unit)
    lost = np.abs(weight - coarse * unit.reshape(wide)).reshape(len(weight), -1).sum(axis=1) * 255
    lost = (lost + np.abs(bias - short * unit)) * scale
    reach = np.abs(weight).reshape(len(weight), -1).sum(axis=1) * 255
    # In output steps: of the zero point, and of the largest sum that does not saturate.
    largest = np.minimum((np.abs(bias) + reach) * scale, 255)
    error = lost + np.abs(moved * real - out_zero) + largest * np.abs(real / (scale * unit) - 1)
    if (lost >= _MAX_ERROR).any():
        raise ValueError("sums that may leave 32 bits")
    if error.max() >= _MAX_ERROR:
        raise ValueError(f"a scale of {float(np.max(scale)):g} with the zero point {out_zero}")
    return {
        "weight": coarse.astype(np.int8),
        "bias": total.astype(np.int32),
        "multiplier": multiplier,
        "shift": shift,
    }


def add_arrays(first: tuple[float, int], second: tuple[float, int], out: tuple[float, int]) -> Any:
    """Return weight, bias, multiplier and shift of a `QAdd`; arguments are (scale, zero).

    Raises
    ------
    ValueError
        If no two weights of 1 to 127 come close enough to the scales.
    """
    (scale_a, zero_a), (scale_b, zero_b), (scale_out, zero_out) = first, second, out
    weights = np.arange(1, _MAX_WEIGHT + 1, dtype=np.float64)
    # In output steps: one unit of the sum, if the first input's scale is met exactly.
    unit = scale_a / scale_out / weights[:, None]
    wrong = 255 * np.abs(scale_b / scale_out - weights[None] * unit)
    wrong = wrong + np.abs(np.rint(zero_out / unit) * unit - zero_out)
    row, column = np.unravel_index(int(wrong.argmin()), wrong.shape)
    if wrong[row, column] >= _MAX_ERROR:
        raise ValueError(f"scales of {scale_a:g} and {scale_b:g} are too far apart")
    pair = int(row) + 1, int(column) + 1
    multiplier, shift = multiplier_and_shift(np.array([scale_a / scale_out / pair[0]]))
    real = float(multiplier[0]) * 2.0 ** -float(shift[0])
    bias = round(zero_out / real) - zero_a * pair[0] - zero_b * pair[1]
    return {"weight": pair, "bias": bias, "multiplier": int(multiplier[0]), "shift": int(shift[0])}
