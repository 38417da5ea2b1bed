"""Procedural backgrounds, in families of which each belongs to one split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["TEXTURES", "colour_map", "fractal_noise", "texture"]

Field = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Random = np.random.Generator


def fractal_noise(rng: Random, size: int, *, coarse: int = 2, octaves: int = 5) -> Field:
    """Return noise between 0 and 1, (size, size): octaves of halving grain and strength."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = coarse << octave
        if cells > size:
            break
        grid = Image.fromarray(rng.random((cells + 1, cells + 1), np.float32))
        layer = grid.resize((size, size), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / (1 << octave)
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def colour_map(rng: Random, field: Field) -> Pixels:
    """Return a field of values from 0 to 1 in two or three random colours."""
    stops = rng.integers(0, 256, (int(rng.integers(2, 4)), 3)).astype(np.float32)
    levels = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(levels, np.arange(len(stops)), c) for c in stops.T], axis=1)
    return table.astype(np.uint8)[np.clip(field * 255, 0, 255).astype(np.uint8)]


def _grid(size: int) -> tuple[Field, Field]:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _turned(rng: Random, size: int) -> tuple[Field, Field]:
    x, y = _grid(size)
    angle = rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def _clouds(rng: Random, size: int) -> Pixels:
    return colour_map(rng, fractal_noise(rng, size, octaves=int(rng.integers(3, 7))))


def _grain(rng: Random, size: int) -> Pixels:
    field = rng.random((size, size), np.float32) * 0.5 + fractal_noise(rng, size) * 0.5
    return colour_map(rng, field)


def _gradient(rng: Random, size: int) -> Pixels:
    u, _ = _turned(rng, size)
    return colour_map(rng, np.clip((u + 1.4) / 2.8, 0, 1))


def _stripes(rng: Random, size: int) -> Pixels:
    u, v = _turned(rng, size)
    bend = fractal_noise(rng, size, octaves=2) * rng.uniform(0, 0.6)
    wave = np.sin((u + bend + 0 * v) * rng.uniform(6, 60))
    if rng.random() < 0.5:
        wave = np.sign(wave)
    return colour_map(rng, (wave + 1) / 2)


def _tiles(rng: Random, size: int) -> Pixels:
    u, v = _turned(rng, size)
    cells = rng.uniform(2, 12)
    seam = rng.uniform(0.03, 0.15)
    inside = ((u * cells) % 1 > seam) & ((v * cells * rng.uniform(0.5, 1)) % 1 > seam)
    field = np.where(inside, 0.35 + 0.4 * fractal_noise(rng, size), 1.0)
    return colour_map(rng, field.astype(np.float32))


def _rings(rng: Random, size: int) -> Pixels:
    x, y = _grid(size)
    centre = rng.uniform(-1.5, 1.5, 2)
    radius = np.hypot(x - centre[0], y - centre[1]) + 0.3 * fractal_noise(rng, size, octaves=3)
    return colour_map(rng, ((np.sin(radius * rng.uniform(10, 50)) + 1) / 2).astype(np.float32))


def _ripples(rng: Random, size: int) -> Pixels:
    u, v = _turned(rng, size)
    f, g = rng.uniform(5, 25, 2)
    field = np.sin(u * f + 2 * np.sin(v * g * 0.4)) * np.cos(v * g)
    return colour_map(rng, ((field + 1) / 2).astype(np.float32))


def _weave(rng: Random, size: int) -> Pixels:
    u, v = _turned(rng, size)
    f = rng.uniform(20, 60)
    over = np.sin(u * f) * np.sin(v * f) > 0
    field = np.where(over, np.abs(np.sin(u * f)), np.abs(np.sin(v * f)))
    return colour_map(rng, field.astype(np.float32))


def _drawn(
    rng: Random, size: int, count: int, draw: Callable[[ImageDraw.ImageDraw, tuple[int, ...]], None]
) -> Pixels:
    canvas = Image.fromarray(_gradient(rng, size))
    pen = ImageDraw.Draw(canvas)
    for _ in range(count):
        draw(pen, tuple(int(c) for c in rng.integers(0, 256, 3)))
    return np.asarray(canvas)


def _blobs(rng: Random, size: int) -> Pixels:
    def draw(pen: ImageDraw.ImageDraw, colour: tuple[int, ...]) -> None:
        x, y = rng.uniform(0, size, 2)
        r = rng.uniform(0.02, 0.2) * size
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    return _drawn(rng, size, int(rng.integers(8, 60)), draw)


def _shards(rng: Random, size: int) -> Pixels:
    def draw(pen: ImageDraw.ImageDraw, colour: tuple[int, ...]) -> None:
        centre = rng.uniform(0, size, 2)
        corners = centre + rng.normal(0, 0.15 * size, (int(rng.integers(3, 6)), 2))
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=colour)

    return _drawn(rng, size, int(rng.integers(8, 60)), draw)


TEXTURES: dict[str, Callable[[Random, int], Pixels]] = {
    "blobs": _blobs,
    "clouds": _clouds,
    "gradient": _gradient,
    "grain": _grain,
    "rings": _rings,
    "ripples": _ripples,
    "shards": _shards,
    "stripes": _stripes,
    "tiles": _tiles,
    "weave": _weave,
}


def texture(rng: Random, family: str, size: int) -> Pixels:
    """Return a background of a family, (size, size, 3).

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if family not in TEXTURES:
        raise ValueError(f"family must be one of {sorted(TEXTURES)}, not {family!r}")
    return TEXTURES[family](rng, size)
