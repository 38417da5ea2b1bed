"""The exact integer arithmetic of requantisation and LRN, bit for bit.

Activations are uint8 with zero point 0, weights int8, accumulators and biases int32.  The golden
layers and the functional device call these functions; the hardware is tested against them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.reproducible import inverse_power

__all__ = [
    "LRN_FRACTION_BITS",
    "LRN_SEGMENTS",
    "LRN_TABLE_ENTRIES",
    "LRN_TABLE_PAIRS",
    "MULTIPLIER_BITS",
    "SHIFT_BITS",
    "lrn_apply",
    "lrn_gains",
    "lrn_index",
    "lrn_table",
    "pack_lrn_table",
    "pack_params",
    "requantise",
    "unpack_lrn_table",
    "unpack_params",
]

MULTIPLIER_BITS = 17
SHIFT_BITS = 5

# The LRN gain is piecewise linear in the sum of squares: 16 segments per octave, and one entry for
# each sum below 16.  The largest sum, 5 * 255**2, is in the octave of 2**18.
LRN_SEGMENTS = 16
LRN_TABLE_ENTRIES = 256
# Two entries, with their differences, are one beat of memory and one word of the hardware's table.
LRN_TABLE_PAIRS = LRN_TABLE_ENTRIES // 2
LRN_FRACTION_BITS = 8
_LRN_MAX_SUM = 5 * 255 * 255

Ints = NDArray[Any]


def requantise(acc: Ints, bias: Ints, multiplier: Ints, shift: Ints) -> NDArray[np.uint8]:
    """Return ``clip(rne((acc + bias) * multiplier / 2**shift), 0, 255)``, ties to even.

    Parameters
    ----------
    acc : int32 array
        Accumulators, channels last.
    bias : int32 array (channels,)
    multiplier : unsigned array (channels,), below 2**17
    shift : unsigned array (channels,), 0 to 31

    Returns
    -------
    uint8 array, the shape of `acc`
    """
    # |acc + bias| < 2**32 and multiplier < 2**17: the product fits int64.
    value = (acc.astype(np.int64) + np.asarray(bias, np.int64)) * np.asarray(multiplier, np.int64)
    shift = np.asarray(shift, np.int64)
    floor = value >> shift
    rest = value - (floor << shift)
    half = (np.int64(1) << shift) >> 1
    up = (rest > half) | ((rest == half) & (floor & 1 == 1) & (half > 0))
    return np.clip(floor + up, 0, 255).astype(np.uint8)


def pack_params(bias: Ints, multiplier: Ints, shift: Ints) -> bytes:
    """Return requantisation parameters as the hardware reads them: 8 bytes for each channel.

    Bits 31..0 bias, 48..32 multiplier, 53..49 shift, little endian.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    """
    bias, multiplier, shift = (np.asarray(a, np.int64) for a in (bias, multiplier, shift))
    if np.any((bias < -(1 << 31)) | (bias >= 1 << 31)):
        raise ValueError("a bias does not fit 32 bits")
    if np.any((multiplier < 0) | (multiplier >= 1 << MULTIPLIER_BITS)):
        raise ValueError(f"a multiplier does not fit {MULTIPLIER_BITS} bits")
    if np.any((shift < 0) | (shift >= 1 << SHIFT_BITS)):
        raise ValueError(f"a shift does not fit {SHIFT_BITS} bits")
    word = (bias & 0xFFFFFFFF) | multiplier << 32 | shift << (32 + MULTIPLIER_BITS)
    return word.astype("<u8").tobytes()


def unpack_params(data: bytes) -> tuple[Ints, Ints, Ints]:
    """Return ``(bias, multiplier, shift)`` as int64 arrays: the inverse of `pack_params`."""
    word = np.frombuffer(data, "<u8")
    bias = (word & 0xFFFFFFFF).astype(np.uint32).astype(np.int32).astype(np.int64)
    multiplier = (word >> 32 & (1 << MULTIPLIER_BITS) - 1).astype(np.int64)
    shift = (word >> 32 + MULTIPLIER_BITS & (1 << SHIFT_BITS) - 1).astype(np.int64)
    return bias, multiplier, shift


def lrn_index(squares: Ints) -> tuple[Ints, Ints]:
    """Return table index and 8-bit fraction of sums of squares.

    A sum below 16 is its own index with fraction 0.  From 16 on, with ``e = floor(log2(sum))``:
    the index is ``(e - 3) * 16`` plus the four bits after the leading one, the fraction the eight
    bits after those (zeros where the sum has fewer).
    """
    squares = np.asarray(squares, np.int64)
    exponent = np.frexp(np.maximum(squares, 1).astype(np.float64))[1] - 1
    normal = squares << (18 - np.maximum(exponent, 0))
    index = np.where(squares < 16, squares, (exponent - 3) * 16 + (normal >> 14 & 15))
    fraction = np.where(squares < 16, 0, normal >> 6 & 255)
    return index, fraction


def _segment_start(index: Ints) -> Ints:
    """Sum of squares at which table entry `index` begins."""
    index = np.asarray(index, np.int64)
    octave = index >> 4
    mantissa = 16 + (index & 15)
    return np.where(octave == 0, index, mantissa << np.maximum(octave - 1, 0))


def lrn_table(
    *, in_scale: float, out_scale: float, size: int, alpha: float, beta: float, k: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], int]:
    """Return gain table, differences and right shift for one LRN layer.

    The float layer is ``y = x / (k + alpha / size * sum(x**2)) ** beta`` (Krizhevsky et al. 2012,
    with alpha divided by the window as in Caffe and ONNX).  With codes ``q`` at `in_scale` and
    ``S`` their sum of squares, the gain from input code to output code is
    ``in_scale / out_scale * (k + alpha / size * in_scale**2 * S) ** -beta``.

    Returns
    -------
    table : uint16 array (256,)
        Gain at the start of each segment, times ``2**shift``.
    difference : uint16 array (256,)
        Decrease of the gain over the segment.
    shift : int
        1 to 31.

    Raises
    ------
    ValueError
        If the gain cannot be represented, or rises with the sum of squares.
    """
    if alpha < 0 or beta < 0 or k <= 0:
        raise ValueError(f"LRN needs alpha, beta >= 0 and k > 0, not {alpha!r}, {beta!r}, {k!r}")
    start = _segment_start(np.arange(LRN_TABLE_ENTRIES + 1)).astype(np.float64)
    gain = in_scale / out_scale * inverse_power(k + alpha / size * in_scale**2 * start, beta)
    shift = int(np.floor(np.log2(65535 / gain[0])))
    if not 1 <= shift <= 31:
        raise ValueError(f"LRN gain {gain[0]:g} is out of range")
    entries = np.rint(gain * 2.0**shift).astype(np.int64)
    table, difference = entries[:-1], entries[:-1] - entries[1:]
    return table.astype(np.uint16), difference.astype(np.uint16), shift


def pack_lrn_table(table: Ints, difference: Ints) -> bytes:
    """Return the table as memory holds it: entry i is table | difference << 16, little endian."""
    return (table.astype("<u4") | difference.astype("<u4") << 16).tobytes()


def unpack_lrn_table(data: bytes) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return table and differences: the inverse of `pack_lrn_table`."""
    word = np.frombuffer(data, "<u4")
    return (word & 0xFFFF).astype(np.uint16), (word >> 16).astype(np.uint16)


def lrn_gains(table: Ints, difference: Ints) -> Ints:
    """Return the interpolated gain of every possible sum of squares, 0 to 5 * 255**2.

    The gain is ``table[i] - ((difference[i] * fraction + 128) >> 8)``.
    """
    index, fraction = lrn_index(np.arange(_LRN_MAX_SUM + 1))
    fall = np.asarray(difference, np.int64)[index] * fraction + (1 << LRN_FRACTION_BITS - 1)
    return np.asarray(table, np.int64)[index] - (fall >> LRN_FRACTION_BITS)


def lrn_apply(
    values: NDArray[np.uint8],
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    gains: Ints,
    shift: int,
) -> NDArray[np.uint8]:
    """Normalise uint8 codes across channels with a window of five.

    Parameters
    ----------
    values : uint8 array (..., channels)
    before, after : uint8 arrays (..., 2)
        The two channels before the first and after the last; zeros where there are none.
    gains : array (5 * 255**2 + 1,)
        As `lrn_gains` returns them.
    shift : int

    Returns
    -------
    uint8 array, the shape of `values`
        ``min((q * gain + 2**(shift-1)) >> shift, 255)``
    """
    window = np.concatenate([before, values, after], axis=-1).astype(np.int64) ** 2
    channels = values.shape[-1]
    squares = sum(window[..., i : i + channels] for i in range(5))
    out = (values.astype(np.int64) * gains[squares] + (1 << shift - 1)) >> shift
    return np.minimum(out, 255).astype(np.uint8)
