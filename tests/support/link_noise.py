"""A noisy wire between a host and a simulated board."""

from __future__ import annotations

import numpy as np

__all__ = ["Noise"]


class Noise:
    """Flips a bit in, or drops, one in `rate` of the chunks of bytes it is called with.

    For `sim.library.simulated_board.ModelPort.to_board`, which is called with whole frames, or
    ``from_board``, which is called with parts of them.
    """

    def __init__(self, rng: np.random.Generator, *, rate: int, drop: bool) -> None:
        self.rng = rng
        self.rate = rate
        self.drop = drop
        self.count = 0

    def __call__(self, data: bytes) -> bytes:
        if not data or self.rng.integers(self.rate):
            return data
        self.count += 1
        if self.drop:
            return b""
        values = bytearray(data)
        values[self.rng.integers(len(values))] ^= 1 << self.rng.integers(8)
        return bytes(values)
