"""Random numbers that depend on the seed alone, not on NumPy's version.

NumPy fixes the raw 64-bit words of its generator PCG64, and nothing that it makes of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["PortableRandom"]

# A normal number is the sum of so many bytes less its mean: the deviation of one byte is
# sqrt((256**2 - 1) / 12).
_BYTES = 8
_MEAN = _BYTES * 255 // 2
_DEVIATION = math.sqrt(_BYTES * (256**2 - 1) / 12)

# Words drawn at a time: bounds what is kept beside the result.
_WORDS = 1 << 20


class PortableRandom:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int
        Not negative.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def _words(self, count: int) -> NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(count), np.uint64)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return numbers of mean 0 and standard deviation 1, within 4.9, close to normal ones.

        Each is the sum of eight bytes (Irwin-Hall), scaled.
        """
        out = np.empty(math.prod(shape), np.float32)
        for first in range(0, len(out), _WORDS):
            part = out[first : first + _WORDS]
            octets = self._words(len(part)).astype("<u8").view(np.uint8).reshape(-1, _BYTES)
            part[:] = octets.sum(axis=1, dtype=np.int32) - _MEAN
        out *= np.float32(1 / _DEVIATION)
        return out.reshape(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return integers from `low` to below `high`, of a range below 2**31.

        Raises
        ------
        ValueError
            If there is none, or the range is larger.
        """
        if not 0 < high - low < 1 << 31:
            raise ValueError(f"high must be 1 to 2**31 - 1 above low, not {low} and {high}")
        upper = (self._words(math.prod(shape)) >> np.uint64(32)).astype(np.int64)
        return (low + (upper * (high - low) >> 32)).reshape(shape)
