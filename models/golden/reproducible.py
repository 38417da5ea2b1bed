"""Float arithmetic with the same bits everywhere, whatever NumPy, BLAS or processor computes it.

IEEE 754 fixes the results of ``+ - * /``, square roots and rounding; it does not fix the order of a
sum, and libraries choose different ones.  Here sums are taken over integers of so few bits that
float64 or int64 holds every partial sum exactly: then the order does not matter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_means", "column_moments", "inverse_power", "matmul"]

Array = NDArray[Any]

# Bits of an operand of `matmul`; the left one is multiplied in two halves.
_OPERAND = 24
_HALF = _OPERAND // 2
# Integers up to 2**53 are exact in float64.
_EXACT = 53

# Bits of what `column_means` adds, and of what `column_moments` squares and adds: up to 2**33 and
# 2**23 rows stay below 2**63.
_ADDED = 30
_SQUARED = 20

# Rows of the right operand converted at a time: bounds the copy to some megabytes.
_BLOCK_BYTES = 1 << 24


def _exponent(values: Array) -> int | None:
    """The least e with every magnitude below 2**e; None if not all are finite."""
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    return math.frexp(largest)[1] if math.isfinite(largest) else None


def _exponents(values: Array) -> NDArray[np.int32]:
    """The least e of each row (n, 1) with every magnitude below 2**e."""
    largest = np.maximum(values.max(axis=1, initial=0), -values.min(axis=1, initial=0))
    return np.frexp(largest.astype(np.float64))[1][:, None]


def _integers(values: Array, exponent: int | Array, bits: int) -> NDArray[np.float64]:
    """``values * 2**(bits - exponent)``, rounded: magnitudes up to 2**bits."""
    return np.rint(np.ldexp(values.astype(np.float64), bits - exponent))


def matmul(left: Array, right: Array) -> NDArray[np.float64]:
    """Return ``left @ right.T``; operands keep 24 bits below the largest of their row.

    Parameters
    ----------
    left : float array (n, k)
    right : float array (out, k)

    Returns
    -------
    float64 array (n, out)
        Not reproducible where an operand is not finite.
    """
    depth = left.shape[1]
    if _exponent(left) is None or _exponent(right) is None:
        return np.asarray(left.astype(np.float64) @ right.T.astype(np.float64))
    # Each row has a unit of its own: a channel of small weights keeps its bits beside large ones.
    shift, other = _exponents(left), _exponents(right)
    bits = min(_OPERAND, _EXACT - _HALF - max(depth - 1, 1).bit_length())
    whole = _integers(left, shift, _OPERAND)
    upper = np.rint(whole * 2.0**-_HALF)
    lower = whole - upper * 2.0**_HALF
    out = np.empty((len(left), len(right)))
    step = max(1, _BLOCK_BYTES // (8 * max(depth, 1)))
    for first in range(0, len(right), step):
        part = slice(first, first + step)
        rows = _integers(right[part], other[part], bits).T
        out[:, first : first + step] = (upper @ rows) * 2.0**_HALF + lower @ rows
    return np.ldexp(out, shift + other.T - _OPERAND - bits)


def column_means(values: Array) -> NDArray[np.float64]:
    """Return the mean of each column of finite values (n, columns)."""
    exponent = _exponent(values)
    if exponent is None:
        return np.asarray(values.mean(axis=0, dtype=np.float64))
    sums = _integers(values, exponent, _ADDED).astype(np.int64).sum(axis=0)
    return np.ldexp(sums / len(values), exponent - _ADDED)


def column_moments(values: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column of finite values (n, columns).

    Values count to the 20th bit below the largest of all.
    """
    exponent = _exponent(values)
    if exponent is None:
        raise ValueError("the moments of values that are not finite")
    whole = _integers(values, exponent, _SQUARED).astype(np.int64)
    mean = whole.sum(axis=0) / len(values)
    variance = (whole * whole).sum(axis=0) / len(values) - mean * mean
    unit = exponent - _SQUARED
    return np.ldexp(mean, unit), np.ldexp(np.sqrt(np.maximum(variance, 0)), unit)


def inverse_power(base: Array, power: float) -> NDArray[np.float64]:
    """Return ``base ** -power`` of positive values.

    The same everywhere for multiples of a quarter up to 4, such as the 0.75 of LRN; for others the
    last bit is the library's.
    """
    wide = np.asarray(base, np.float64)
    quarters = power * 4
    if quarters != int(quarters) or not 0 <= quarters <= 16:
        return np.asarray(wide**-power)
    root = np.sqrt(np.sqrt(wide))
    product = np.ones_like(wide)
    for _ in range(int(quarters)):
        product = product * root
    return np.asarray(1 / product)
