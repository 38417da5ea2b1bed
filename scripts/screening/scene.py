"""Synthetic photographs: objects on a background, in perspective, lit and blurred.

Everything is drawn at twice the final size and halved at the end, so edges are smooth.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from scripts.screening.codes import code
from scripts.screening.decoys import DECOYS, decoy
from scripts.screening.sources import Sources, load_photo
from scripts.screening.textures import fractal_noise, texture

__all__ = ["SIZE", "Scene", "make_scene"]

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Random = np.random.Generator

# Height and width of a picture.
SIZE = 256

_CANVAS = 2 * SIZE

# Smallest module of a code in pixels of the finished picture; smaller ones cannot be read.
_FINEST_PITCH = 1.7


@dataclass(frozen=True)
class Scene:
    """A picture and what it shows.

    Parameters
    ----------
    pixels : ndarray of uint8, (SIZE, SIZE, 3)
    label : int
        1 if it shows a code.
    kind : str
        ``code``, ``plain``, or the hard negative it shows.
    box : (int, int, int, int)
        Left, top, right and bottom of the code, quiet zone included, cut at the picture's edges;
        zeros where there is none.
    """

    pixels: Pixels
    label: int
    kind: str
    box: Box


def _background(rng: Random, allowed: Sources) -> Image.Image:
    if rng.random() < 0.3:
        family = str(rng.choice(allowed.textures))
        return Image.fromarray(texture(rng, family, _CANVAS))
    photo = load_photo(str(rng.choice(allowed.photos)))
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.3, 1.0))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    piece = photo[top : top + side, left : left + side]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if rng.random() < 0.3:
        piece = piece[..., rng.permutation(3)]
    picture = Image.fromarray(np.ascontiguousarray(piece))
    return picture.resize((_CANVAS, _CANVAS), Image.Resampling.BILINEAR)


def _coefficients(target: NDArray[np.float64], width: int, height: int) -> list[float]:
    """Return Pillow's coefficients for mapping four target corners to a picture's corners."""
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, right = [], []
    for (x, y), (u, v) in zip(target, source):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return [float(c) for c in np.linalg.solve(np.array(rows), np.array(right))]


def _paste(
    rng: Random, canvas: Image.Image, thing: Image.Image, width: float, *, inside: bool
) -> Box:
    """Paste a picture, rotated and in perspective, onto the canvas; return its final box.

    Parameters
    ----------
    width : float
        Of the picture on the canvas, in pixels.
    inside : bool
        Whether it must be completely visible.
    """
    height = width * thing.height / thing.width
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else rng.normal(0, 0.2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    tilt = rng.uniform(0, 0.12)
    corners = corners * (1 + rng.uniform(-tilt, tilt, (4, 1)))
    corners[:, int(rng.integers(2))] *= rng.uniform(0.7, 1.0)
    corners = corners @ turn
    low, high = -corners.min(0), _CANVAS - corners.max(0)
    if inside and np.all(low < high):
        centre = rng.uniform(low, high)
    else:
        centre = rng.uniform(0.25, 0.75, 2) * _CANVAS if not inside else np.full(2, _CANVAS / 2)
    scaled = thing.resize((max(2, round(width)), max(2, round(height))), Image.Resampling.LANCZOS)
    if rng.random() < 0.9:
        scaled.putalpha(255)
    else:
        scaled.putalpha(int(rng.integers(205, 256)))
    target = corners + centre
    left, top = np.clip(np.floor(target.min(0)), 0, _CANVAS - 1).astype(int)
    right, bottom = np.clip(np.ceil(target.max(0)), 1, _CANVAS).astype(int)
    size = max(1, int(right - left)), max(1, int(bottom - top))
    flat = scaled.transform(
        size,
        Image.Transform.PERSPECTIVE,
        _coefficients(target - (left, top), scaled.width, scaled.height),
        Image.Resampling.BILINEAR,
    )
    canvas.paste(flat, (int(left), int(top)), flat)
    return int(left) // 2, int(top) // 2, (int(right) + 1) // 2, (int(bottom) + 1) // 2


def _light(rng: Random, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Uneven light, contrast, a cast of colour."""
    size = len(picture)
    if rng.random() < 0.6:
        shade = 1 - rng.uniform(0, 0.55) * fractal_noise(rng, size, coarse=1, octaves=2)
        picture = picture * shade[..., None]
    contrast, brightness = rng.uniform(0.55, 1.25), rng.uniform(-35, 35)
    picture = (picture - 128) * contrast + 128 + brightness
    return picture * rng.uniform(0.9, 1.1, 3).astype(np.float32)


def _camera(rng: Random, canvas: Image.Image, sharpest: float) -> Pixels:
    """Halve, blur, light, add noise and compress.

    Parameters
    ----------
    sharpest : float
        The most blur, as a Gaussian's standard deviation in pixels.
    """
    picture = canvas.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, sharpest)))
    values = _light(rng, np.asarray(picture).astype(np.float32))
    values += rng.normal(0, rng.uniform(0, 10), values.shape).astype(np.float32)
    if rng.random() < 0.06:
        values = np.repeat(values.mean(2, keepdims=True), 3, 2)
    noisy = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    packed = io.BytesIO()
    noisy.save(packed, "JPEG", quality=int(rng.integers(35, 96)))
    with Image.open(packed) as image:
        return np.asarray(image.convert("RGB"))


def make_scene(rng: Random, kind: str, allowed: Sources) -> Scene:
    """Return a picture of a kind: ``code``, ``plain`` or one of `DECOYS`.

    Half of the pictures with a code have a decoy too, so that text does not indicate the class.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    canvas = _background(rng, allowed).convert("RGBA")
    sharpest, box = 2.0, (0, 0, 0, 0)
    if kind == "code":
        if rng.random() < 0.4:
            extra = decoy(rng, str(rng.choice(list(DECOYS))), allowed)
            _paste(rng, canvas, extra, _CANVAS * rng.uniform(0.3, 1.2), inside=False)
        picture, modules = code(rng)
        finest = min(_FINEST_PITCH * modules / SIZE, 0.9)
        side = SIZE * np.exp(rng.uniform(np.log(finest), np.log(0.95)))
        box = _paste(rng, canvas, picture, 2 * side, inside=True)
        sharpest = min(2.0, 0.45 * side / modules)
    elif kind != "plain":
        for _ in range(1 if rng.random() < 0.7 else 2):
            width = _CANVAS * np.exp(rng.uniform(np.log(0.25), np.log(1.6)))
            _paste(rng, canvas, decoy(rng, kind, allowed), width, inside=False)
    elif rng.random() < 0.35:
        small = _background(rng, allowed).convert("RGBA")
        _paste(rng, canvas, small, _CANVAS * rng.uniform(0.2, 0.8), inside=False)
    return Scene(_camera(rng, canvas, sharpest), int(kind == "code"), kind, box)
