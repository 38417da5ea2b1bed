"""Weights as integers: rows of a float matrix to int8, bias, multiplier and shift.

Every row's weight scale is rounded up so that ``in_scale * weight_scale / out_scale`` is exactly
``m / 2**16`` with an integer ``m`` of at most 15 bits: such a layer gives the same bits here, on
the hardware and in onnxruntime.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_MULTIPLIER", "OUT_SHIFT", "hidden", "largest", "logits", "multipliers"]

Array = NDArray[Any]

# One shift for all channels: multipliers below 2**15 with it equal onnxruntime bit for bit.
OUT_SHIFT = 16
MAX_MULTIPLIER = (1 << 15) - 1
_WEIGHT_LIMIT = 127

# Rows of a weight matrix handled at a time, so that temporaries stay small.
_BLOCK_BYTES = 1 << 23


def _row_blocks(weight: Array) -> list[slice]:
    rows, depth = weight.shape
    step = max(1, _BLOCK_BYTES // (4 * max(depth, 1)))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def largest(weight: Array) -> NDArray[np.float64]:
    """Return the largest magnitude in each row of a matrix."""
    return np.concatenate(
        [np.abs(weight[rows]).max(axis=1).astype(np.float64) for rows in _row_blocks(weight)]
    )


def _round_weights(weight: Array, scale: NDArray[np.float64]) -> NDArray[np.int8]:
    out = np.empty(weight.shape, np.int8)
    inverse = (1 / scale).astype(np.float32)
    for rows in _row_blocks(weight):
        codes = np.rint(weight[rows] * inverse[rows, None])
        out[rows] = np.clip(codes, -_WEIGHT_LIMIT, _WEIGHT_LIMIT)
    return out


def _weighted_sums(codes: NDArray[np.int8], zero: Array) -> tuple[Array, Array]:
    """Sums of ``codes * zero`` and of ``abs(codes)`` in each row."""
    blocks = _row_blocks(codes)
    magnitude = np.concatenate([np.abs(codes[rows]).sum(axis=1, dtype=np.int64) for rows in blocks])
    if not zero.any():
        return np.zeros(len(codes)), magnitude
    # Sums of integers, then few products in a fixed order: the same everywhere.
    offset = np.zeros(len(codes))
    for value in np.unique(zero):
        alike = zero == value
        sums = [codes[rows][:, alike].sum(axis=1, dtype=np.int64) for rows in blocks]
        offset += value * np.concatenate(sums)
    return offset, magnitude


def _integer_bias(
    name: str, bias: Array, step: Array, codes: NDArray[np.int8], zero: Array
) -> NDArray[np.int32]:
    """Bias in accumulator units with the input's zero point folded in; never overflows."""
    offset, magnitude = _weighted_sums(codes, zero)
    # With the smallest multiplier, 1, an output of 256 takes 2**24: a bias beyond this limit
    # saturates the output (at 0 or 255) whatever the input, so clipping it changes nothing.
    limit = 255 * magnitude + (1 << 25)
    if (limit + 255 * magnitude).max() >= 1 << 31:
        raise ValueError(f"layer {name}: the sum of {codes.shape[1]} products may leave 32 bits")
    return np.clip(np.rint(bias / step - offset), -limit, limit).astype(np.int32)


def multipliers(
    magnitude: NDArray[np.float64], in_scale: float, out_scale: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return multiplier and weight scale of each row from its largest weight.

    Multipliers may exceed `MAX_MULTIPLIER`: then the output needs a coarser scale, as one product
    would change it by half its range.
    """
    unit = out_scale / in_scale / 2**OUT_SHIFT
    wanted = magnitude / _WEIGHT_LIMIT / unit
    multiplier = np.maximum(np.ceil(wanted * (1 - 1e-7)), 1).astype(np.int64)
    return multiplier, multiplier * unit


def hidden(
    name: str,
    weight: Array,
    bias: Array,
    in_scale: float,
    zero: Array,
    out_scale: float,
    out_zero: int,
) -> dict[str, Any]:
    """Return weight, bias, multiplier and shift of a layer whose outputs are uint8.

    Parameters
    ----------
    name : str
        For messages.
    weight : float32 array (out, k)
    bias : float array (out,)
    zero : float array (k,)
        Code of 0 of each input.

    Raises
    ------
    ValueError
        If a sum may leave 32 bits.
    """
    multiplier, scale = multipliers(largest(weight), in_scale, out_scale)
    rounded = _round_weights(weight, scale)
    # The output's zero point is folded into the bias.
    moved = np.asarray(bias, np.float64) + out_zero * out_scale
    return {
        "weight": rounded,
        "bias": _integer_bias(name, moved, in_scale * scale, rounded, zero),
        "multiplier": multiplier,
        "shift": np.full(len(bias), OUT_SHIFT, np.int64),
    }


def logits(name: str, weight: Array, bias: Array, in_scale: float, zero: Array) -> dict[str, Any]:
    """Return the arrays of the last layer, which gives int32: as `hidden`, and ``out_scale``."""
    scale = largest(weight) / _WEIGHT_LIMIT
    # Rows whose weights are (nearly) 0: the step must not be so fine that the bias overflows.
    scale = np.maximum(scale, np.abs(bias) / (in_scale * 2.0**24))
    scale = np.where(scale > 0, scale, 1.0)
    # Both factors are exact in float32, the type in an ONNX file.
    scale = scale.astype(np.float32).astype(np.float64)
    rounded = _round_weights(weight, scale)
    rows = len(bias)
    return {
        "weight": rounded,
        "bias": _integer_bias(name, bias, in_scale * scale, rounded, zero),
        "multiplier": np.ones(rows, np.int64),
        "shift": np.zeros(rows, np.int64),
        "out_scale": in_scale * scale,
    }
