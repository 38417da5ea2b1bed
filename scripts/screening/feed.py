"""Batches of training pictures, from memory of the training device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scripts.screening.augment import augment
from scripts.screening.pool import CHUNK, COUNTS, chunks
from scripts.screening.scene import SIZE

__all__ = ["Feed"]


class Feed:
    """The ``train`` pictures of a pool, each read once; later ones as soon as they are made.

    Parameters
    ----------
    folder : Path
        Of the pool.
    device : torch.device
        Holds the pictures, 196 kB each.

    Raises
    ------
    ValueError
        If there are no pictures.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder = folder
        self._capacity = COUNTS["train"]
        shape = (self._capacity * CHUNK, 3, SIZE, SIZE)
        self._pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        self._boxes = np.empty((self._capacity * CHUNK, 4), np.int16)
        self._labels = np.empty(self._capacity * CHUNK, np.int64)
        self._chunks = 0
        self.refresh()
        if not self._chunks:
            raise ValueError(f"{folder}: there are no pictures to train with")

    @property
    def count(self) -> int:
        """Number of pictures read so far."""
        return self._chunks * CHUNK

    def refresh(self) -> None:
        """Read the pictures made since the last call."""
        if self._chunks == self._capacity:
            return
        for number, chunk in enumerate(chunks(self._folder, "train")):
            if self._chunks <= number < self._capacity:
                places = slice(number * CHUNK, (number + 1) * CHUNK)
                pixels = torch.from_numpy(np.ascontiguousarray(chunk["pixels"]))
                self._pixels[places] = pixels.to(self._pixels.device).permute(0, 3, 1, 2)
                self._boxes[places], self._labels[places] = chunk["box"], chunk["label"]
                self._chunks = number + 1

    def batch(
        self, rng: np.random.Generator, count: int, size: int, share: float
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Return pictures (n, 3, size, size) as `augment` varies them, and their labels (n,)."""
        index = rng.integers(0, self.count, count)
        pixels = self._pixels[torch.from_numpy(index).to(self._pixels.device)]
        return augment(rng, pixels, self._boxes[index], size, share), self._labels[index]
