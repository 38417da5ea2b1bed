"""Encoding of feature maps: histograms of activations, and the choice of a scale from them.

Scales are powers of two.  A map that is never negative is encoded with the zero point 0, any other
with the zero point that centres its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "Encoding", "Histogram", "METHODS", "choose", "zero_point"]

METHODS = ("mse", "minmax", "percentile")

_BINS = 1 << 14
# Initial exponent of the histogram's range, which widens with larger values.
_LEAST_EXPONENT = -40
# Halvings of the scale that are tried: clipping a few outliers may cost less than a coarser step.
_HALVINGS = 3

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Settings of the choice of scales.

    Parameters
    ----------
    method : str
        ``mse``: the least squared error; ``minmax``: nothing is clipped; ``percentile``: values
        beyond a percentile may be clipped.
    percentile : float
        50 to 100.
    layers : mapping of str to str
        Methods of single layers by name; layers that share a scale share the method.

    Raises
    ------
    ValueError
        If a method does not exist or the percentile is out of range.
    """

    method: str = "mse"
    percentile: float = 99.99
    layers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for method in (self.method, *self.layers.values()):
            if method not in METHODS:
                raise ValueError(f"method must be {', '.join(METHODS)}, not {method!r}")
        if not 50 <= self.percentile <= 100:
            raise ValueError(f"percentile must be 50 to 100, not {self.percentile!r}")


@dataclass(frozen=True)
class Encoding:
    """``value = (code - zero) * scale`` with codes of 0 to 255."""

    scale: float
    zero: int


class Histogram:
    """Histogram of activations: bins of equal width, and a separate count of exact zeros.

    Members
    -------
    least, most : float
        Range of all values, 0 included.
    """

    def __init__(self) -> None:
        self.least = 0.0
        self.most = 0.0
        self._zeros = 0
        # Bins cover 0 to 2**exponent on both sides.
        self._exponent = _LEAST_EXPONENT
        self._counts = np.zeros((2, _BINS), np.int64)

    def _widen(self, exponent: int) -> None:
        factor = 1 << min(max(exponent - self._exponent, 0), _BINS.bit_length() - 1)
        if factor > 1:
            narrow = self._counts.reshape(2, _BINS // factor, factor).sum(axis=2)
            self._counts = np.zeros((2, _BINS), np.int64)
            self._counts[:, : _BINS // factor] = narrow
        self._exponent = max(self._exponent, exponent)

    def add(self, values: Array) -> None:
        """Count values.

        Raises
        ------
        ValueError
            If one is not finite.
        """
        flat = values.reshape(-1)
        least, most = float(flat.min()), float(flat.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            raise ValueError("activations that are not finite")
        self.least, self.most = min(self.least, least), max(self.most, most)
        largest = max(-least, most)
        if largest == 0:
            self._zeros += flat.size
            return
        self._widen(math.frexp(largest)[1])
        # Powers of two are exact: equal values always fall into the same bin.
        factor = np.float32(_BINS * 2.0**-self._exponent)
        for side, part in enumerate((flat[flat > 0], -flat[flat < 0])):
            if part.size:
                bins = np.minimum((part * factor).astype(np.int64), _BINS - 1)
                self._counts[side] += np.bincount(bins, minlength=_BINS)
                self._zeros -= part.size
        self._zeros += flat.size

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`."""
        exponent = max(self._exponent, other._exponent)
        self._widen(exponent)
        other._widen(exponent)
        self._counts = self._counts + other._counts
        self._zeros += other._zeros
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values in ascending order and their counts; empty bins are left out."""
        centres = (np.arange(_BINS) + 0.5) * (2.0**self._exponent / _BINS)
        values = np.concatenate([-centres[::-1], [0.0], centres])
        counts = np.concatenate([self._counts[1][::-1], [self._zeros], self._counts[0]])
        return values[counts > 0], counts[counts > 0]

    def range(self, percentile: float) -> tuple[float, float]:
        """Least and largest value within the percentile; 0 included."""
        values, counts = self.points()
        if percentile >= 100 or not len(values):
            return self.least, self.most
        share = np.cumsum(counts) / counts.sum()
        last = min(int(np.searchsorted(share, percentile / 100)), len(values) - 1)
        most = float(values[last])
        least = 0.0
        if self.least < 0:
            least = float(values[np.searchsorted(share, 1 - percentile / 100)])
        return max(min(least, 0.0), self.least), min(max(most, 0.0), self.most)


def zero_point(least: float, most: float) -> int:
    """Return the code of 0 if the codes cover a range, which includes 0, evenly."""
    if least >= 0:
        return 0
    return int(np.clip(np.rint(-least / (most - least) * 255), 0, 255))


def _error(encoding: Encoding, values: Array, counts: Array) -> float:
    codes = np.clip(np.rint(values / encoding.scale) + encoding.zero, 0, 255)
    wrong = (codes - encoding.zero) * encoding.scale - values
    return math.fsum(np.square(wrong) * counts)  # no order of its own: the same everywhere


def choose(histogram: Histogram, method: str = "mse", percentile: float = 99.99) -> Encoding:
    """Return the encoding of a map; of one that is always 0, a scale of 1/256."""
    if histogram.least == histogram.most:
        return Encoding(2.0**-8, 0)
    least, most = histogram.range(percentile if method == "percentile" else 100)
    zero = zero_point(least, most)
    if least == most:
        least, most = histogram.least, histogram.most
    part, exponent = math.frexp((most - least) / 255)
    exponent -= part == 0.5
    if method != "mse":
        return Encoding(2.0**exponent, zero)
    points = histogram.points()
    candidates = [Encoding(2.0 ** (exponent - i), zero) for i in range(_HALVINGS)]
    return min(candidates, key=lambda encoding: _error(encoding, *points))
