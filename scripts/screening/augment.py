"""The same picture, seen differently each time: a window of it, turned, lit, framed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.screening.scene import SIZE

__all__ = ["augment", "whole"]

Pixels = NDArray[np.uint8]
Random = np.random.Generator
Window = tuple[float, float, float, float]


def whole(pixels: Pixels, size: int) -> Pixels:
    """Return a whole picture, scaled to (size, size, 3)."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def _between(rng: Random, low: float, high: float) -> float:
    return float(rng.uniform(low, high)) if low < high else (low + high) / 2


def _window(rng: Random, box: tuple[int, int, int, int], share: float) -> Window:
    """Return a square window, left, top, right, bottom, that holds the box.

    Of a box that is larger than the share asks for, half of the windows hold a part only, at least
    a third each way: so its modules are seen at their size and not only scaled down.  Windows
    around nothing are as large as those around codes, lest size tell them apart.
    """
    left, top, right, bottom = box
    if right <= left:
        extent = SIZE * np.exp(rng.uniform(np.log(0.2), np.log(0.95)))
        left, top = (int(v) for v in rng.uniform(0, SIZE - extent, 2))
        right, bottom = int(left + extent), int(top + extent)
    wide = 1.04 * max(right - left, bottom - top)
    side = SIZE * share * rng.uniform(0.75, 1)
    if wide > side and rng.random() < 0.5:
        centre = [
            _between(rng, low + wide / 6, high - wide / 6)
            for low, high in ((left, right), (top, bottom))
        ]
        x, y = (float(np.clip(c - side / 2, 0, SIZE - side)) for c in centre)
        return x, y, x + side, y + side
    side = min(SIZE, max(side, wide) * rng.uniform(1, 1.2))
    x = _between(rng, max(0, right - side), min(left, SIZE - side))
    y = _between(rng, max(0, bottom - side), min(top, SIZE - side))
    return x, y, x + side, y + side


def _frame(rng: Random, pixels: Pixels, box: tuple[float, float]) -> None:
    """Paint bars above and below, as `penstock screen` does around a picture that is not square."""
    size = len(pixels)
    thick = int(rng.uniform(0.03, 0.25) * size)
    colour = 128 if rng.random() < 0.7 else int(rng.integers(0, 256))
    pixels[: min(thick, max(0, int(box[0]) - 1))] = colour
    pixels[max(size - thick, min(size, int(box[1]) + 2)) :] = colour


def augment(
    rng: Random, pixels: Pixels, box: tuple[int, int, int, int], size: int, share: float
) -> Pixels:
    """Return a variant of a picture, (size, size, 3).

    Parameters
    ----------
    rng : numpy.random.Generator
    pixels : ndarray of uint8, (SIZE, SIZE, 3)
    box : (int, int, int, int)
        Of the code in it, as in `Scene`.
    size : int
    share : float
        The window's side as a share of the picture's, where no code asks for more.
    """
    window = _window(rng, box, share)
    image = Image.fromarray(pixels)
    made = np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=window))
    if rng.random() < 0.15:
        zoom = size / (window[3] - window[1])
        inside = (box[1] - window[1]) * zoom, (box[3] - window[1]) * zoom
        _frame(rng, made, inside if box[2] > box[0] else (size, 0))
    if rng.random() < 0.5:
        made = made[:, ::-1]
    made = np.rot90(made, int(rng.integers(4)))
    chance = rng.random()
    if chance < 0.2:
        made = made[..., rng.permutation(3)]
    elif chance < 0.3:
        made = np.repeat(made.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    levels = np.arange(256) * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25)
    return np.clip(levels, 0, 255).astype(np.uint8)[made]
