"""Data augmentation: random windows of pictures, with rotation, lighting and frames.

It works on a whole batch, on the training device: augmentation must not take longer than the
training step.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from scripts.screening.scene import SIZE

__all__ = ["augment"]

Random = np.random.Generator
Numbers = NDArray[np.float64]

# Samples per pixel in each direction: a window may shrink by this factor without aliasing.
_TAPS = 2


def _between(rng: Random, low: Numbers, high: Numbers) -> Numbers:
    """Random between two bounds; their mean where they are swapped."""
    drawn = low + (high - low) * rng.random(low.shape)
    return np.where(low < high, drawn, (low + high) / 2)


def _windows(rng: Random, boxes: Numbers, share: float) -> Numbers:
    """Return square windows that hold the boxes, (n, 4): left, top, right, bottom.

    If a box is larger than the share, half of the windows hold only a part of it, at least a third
    in each direction, so that its modules are also seen at full size.  Windows without a code have
    the same sizes as those with one, so that size does not tell them apart.
    """
    count = len(boxes)
    low, high = boxes[:, :2], boxes[:, 2:]
    empty = high[:, :1] <= low[:, :1]
    extent = SIZE * np.exp(rng.uniform(np.log(0.2), np.log(0.95), (count, 1)))
    made = rng.random((count, 2)) * (SIZE - extent)
    low, high = np.where(empty, made, low), np.where(empty, made + extent, high)
    wide = 1.04 * (high - low).max(1, keepdims=True)
    asked = SIZE * share * rng.uniform(0.75, 1, (count, 1))
    part = (wide > asked) & (rng.random((count, 1)) < 0.5)
    centre = _between(rng, low + wide / 6, high - wide / 6)
    piece = np.clip(centre - asked / 2, 0, SIZE - asked)
    side = np.minimum(SIZE, np.maximum(asked, wide) * rng.uniform(1, 1.2, (count, 1)))
    around = _between(rng, np.maximum(0, high - side), np.minimum(low, SIZE - side))
    corner, side = np.where(part, piece, around), np.where(part, asked, side)
    return np.concatenate([corner, corner + side], axis=1)


def _cut(pixels: Tensor, windows: Numbers, size: int) -> Tensor:
    """Return the windows of the pictures, (n, 3, size, size), float."""
    # The coordinates of grid_sample: -1 and 1 are the outer edges of a picture's pixels.
    left, top, right, bottom = (windows * 2 / SIZE - 1).T
    zeros = np.zeros_like(left)
    rows = [[(right - left) / 2, zeros, (right + left) / 2]]
    rows += [[zeros, (bottom - top) / 2, (bottom + top) / 2]]
    maps = torch.from_numpy(np.array(rows, np.float32).transpose(2, 0, 1)).to(pixels.device)
    shape = (len(pixels), 3, _TAPS * size, _TAPS * size)
    grid = functional.affine_grid(maps, list(shape), align_corners=False)
    cut = functional.grid_sample(
        pixels.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return functional.avg_pool2d(cut, _TAPS)


def _framed(rng: Random, made: Tensor, boxes: Numbers, windows: Numbers) -> Tensor:
    """Paint bars above and below some, as `penstock screen` pads images that are not square."""
    count, size = len(made), made.shape[-1]
    zoom = size / (windows[:, 3] - windows[:, 1])
    coded = boxes[:, 2] > boxes[:, 0]
    first = np.where(coded, (boxes[:, 1] - windows[:, 1]) * zoom - 1, size)
    last = np.where(coded, (boxes[:, 3] - windows[:, 1]) * zoom + 2, 0)
    thick = rng.uniform(0.03, 0.25, count) * size * (rng.random(count) < 0.15)
    above, below = np.minimum(thick, first), np.maximum(size - thick, last)
    colour = np.where(rng.random(count) < 0.7, 128, rng.integers(0, 256, count))
    row = torch.arange(size, device=made.device)[None]
    bars = (row < _column(above, made)) | (row >= _column(below, made))
    return torch.where(bars[:, None, :, None], _column(colour, made)[..., None, None], made)


def _column(values: NDArray[np.generic], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)[:, None]).to(like.device)


def _turned(rng: Random, made: Tensor) -> Tensor:
    """Rotate each by a multiple of 90 degrees, mirror half of them."""
    ways = rng.integers(0, 8, len(made))
    turned = torch.empty_like(made)
    for way in range(8):
        index = torch.from_numpy(np.flatnonzero(ways == way)).to(made.device)
        chosen = made[index]
        turned[index] = torch.rot90(chosen.flip(3) if way >= 4 else chosen, way % 4, (2, 3))
    return turned


def _coloured(rng: Random, made: Tensor) -> Tensor:
    """Change or remove colours; change brightness and contrast."""
    count = len(made)
    chance = rng.random(count)
    orders = np.where(
        chance[:, None] < 0.2, rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1), np.arange(3)
    )
    order = torch.from_numpy(orders).to(made.device)
    made = torch.gather(made, 1, order[:, :, None, None].expand_as(made))
    grey = torch.from_numpy((chance >= 0.2) & (chance < 0.3)).to(made.device)
    made = torch.where(grey[:, None, None, None], made.mean(1, keepdim=True), made)
    gain, offset = rng.uniform(0.7, 1.3, count), rng.uniform(-25, 25, count)
    return made * _column(gain, made)[..., None, None] + _column(offset, made)[..., None, None]


def augment(
    rng: Random, pixels: Tensor, boxes: NDArray[np.int16], size: int, share: float
) -> Tensor:
    """Return variants of pictures, (n, 3, size, size), uint8.

    Parameters
    ----------
    rng : numpy.random.Generator
    pixels : Tensor of uint8, (n, 3, SIZE, SIZE)
    boxes : ndarray, (n, 4)
        Of the codes in them, as in `Scene`.
    size : int
    share : float
        The window's side as a share of the picture's, unless a code needs more.
    """
    places = boxes.astype(np.float64)
    windows = _windows(rng, places, share)
    made = _cut(pixels, windows, size)
    made = _turned(rng, _framed(rng, made, places, windows))
    return _coloured(rng, made).round().clamp(0, 255).to(torch.uint8)
