"""Flat QR codes, as printed: the positives."""

from __future__ import annotations

import string

import numpy as np
import segno
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["code", "code_modules", "print_modules"]

Modules = NDArray[np.bool_]
Random = np.random.Generator

_LETTERS = np.array(list(string.ascii_letters + string.digits + "-_/?=&."))


def code_modules(rng: Random) -> Modules:
    """Return the modules of a code of a web address, (n, n): True is dark; no quiet zone."""
    length = int(rng.integers(4, 60))
    text = "https://" + "".join(rng.choice(_LETTERS, length))
    # A random mask: searching the best one takes longer than everything else, and readers accept
    # any.
    made = segno.make_qr(
        text, error=str(rng.choice(list("lmqh"))), mask=int(rng.integers(8)), boost_error=False
    )
    return np.array([list(row) for row in made.matrix], bool)


def print_modules(rng: Random, modules: Modules, *, quiet: int, pitch: int = 8) -> Image.Image:
    """Return modules as an RGBA picture, dark on light, mostly black on white.

    Parameters
    ----------
    rng : numpy.random.Generator
    modules : ndarray of bool, (n, n)
    quiet : int
        Modules of light border.
    pitch : int
        Pixels of a module.
    """
    if rng.random() < 0.7:
        dark, light = np.full(3, rng.integers(0, 50)), np.full(3, rng.integers(215, 256))
    else:
        dark, light = rng.integers(0, 110, 3), rng.integers(185, 256, 3)
    padded = np.pad(modules, quiet)
    colours = np.where(padded[..., None], dark, light).astype(np.uint8)
    picture = Image.fromarray(colours).resize(
        (padded.shape[1] * pitch, padded.shape[0] * pitch), Image.Resampling.NEAREST
    )
    return picture.convert("RGBA")


def _dots(rng: Random, modules: Modules, quiet: int, pitch: int = 8) -> Image.Image:
    """Return modules printed as dots, as in decorated codes; the finder patterns stay square."""
    n = len(modules)
    finders = np.zeros((n, n), bool)
    finders[:7, :7] = finders[:7, -7:] = finders[-7:, :7] = True
    picture = print_modules(rng, modules & finders, quiet=quiet, pitch=pitch)
    pen = ImageDraw.Draw(picture)
    dark = picture.getpixel((quiet * pitch + 1, quiet * pitch + 1))
    for y, x in np.argwhere(modules & ~finders):
        left, top = (int(x) + quiet) * pitch, (int(y) + quiet) * pitch
        pen.ellipse((left, top, left + pitch - 1, top + pitch - 1), fill=dark)
    return picture


def _with_logo(rng: Random, picture: Image.Image) -> Image.Image:
    side = picture.width * rng.uniform(0.12, 0.22)
    middle = picture.width / 2
    pen = ImageDraw.Draw(picture)
    box = (middle - side / 2, middle - side / 2, middle + side / 2, middle + side / 2)
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    pen.rounded_rectangle(box, radius=side * rng.uniform(0, 0.5), fill=colour)
    return picture


def code(rng: Random) -> tuple[Image.Image, int]:
    """Return a code as an RGBA picture, and its modules a side, quiet zone included."""
    modules = code_modules(rng)
    quiet = int(rng.integers(1, 5))
    picture = (
        _dots(rng, modules, quiet)
        if rng.random() < 0.12
        else print_modules(rng, modules, quiet=quiet)
    )
    if rng.random() < 0.12:
        picture = _with_logo(rng, picture)
    return picture, len(modules) + 2 * quiet
