"""Material of the pictures: free photographs and fonts, each in one split only.

The photographs come with scikit-image, scikit-learn and Matplotlib; CREDITS.md names their authors
and licences.  A photograph, a font and a texture family belong to one split, so nothing in the test
split was used in training or in the choice of settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from penstock.models.spec.install_hint import install_hint

__all__ = ["SPLITS", "Sources", "load_font", "load_photo", "sources"]

Pixels = NDArray[np.uint8]

SPLITS = ("train", "validation", "test")

_SKIMAGE, _SKLEARN, _MATPLOTLIB = "skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data"


@dataclass(frozen=True)
class Sources:
    """Material of one split.

    Parameters
    ----------
    photos : tuple of str
        Files, relative to the installed packages.
    pages : tuple of str
        Photographs of printed text.
    fonts : tuple of str
        Of Matplotlib, without the suffix.
    textures : tuple of str
        Families of `scripts.screening.textures`.
    """

    photos: tuple[str, ...]
    pages: tuple[str, ...]
    fonts: tuple[str, ...]
    textures: tuple[str, ...]


_SOURCES = {
    "train": Sources(
        photos=(
            f"{_SKIMAGE}/astronaut.png",
            f"{_SKIMAGE}/brick.png",
            f"{_SKIMAGE}/camera.png",
            f"{_SKIMAGE}/cell.png",
            f"{_SKIMAGE}/chelsea.png",
            f"{_SKIMAGE}/grass.png",
            f"{_SKIMAGE}/hubble_deep_field.jpg",
            f"{_SKIMAGE}/motorcycle_left.png",
            f"{_SKLEARN}/china.jpg",
        ),
        pages=(f"{_SKIMAGE}/page.png",),
        fonts=(
            "DejaVuSans",
            "DejaVuSans-Bold",
            "DejaVuSans-Oblique",
            "STIXGeneral",
            "STIXGeneralItalic",
            "cmb10",
            "cmmi10",
            "cmr10",
            "cmss10",
        ),
        textures=("clouds", "stripes", "blobs", "gradient", "tiles", "grain"),
    ),
    "validation": Sources(
        photos=(
            f"{_SKIMAGE}/coins.png",
            f"{_SKIMAGE}/gravel.png",
            f"{_SKIMAGE}/ihc.png",
            f"{_SKIMAGE}/rocket.jpg",
        ),
        pages=(),
        fonts=("DejaVuSansMono", "STIXGeneralBol"),
        textures=("rings", "weave"),
    ),
    "test": Sources(
        photos=(
            f"{_SKIMAGE}/coffee.png",
            f"{_SKIMAGE}/moon.png",
            f"{_SKIMAGE}/retina.jpg",
            f"{_SKIMAGE}/clock_motion.png",
            f"{_SKLEARN}/flower.jpg",
            f"{_MATPLOTLIB}/sample_data/grace_hopper.jpg",
        ),
        pages=(f"{_SKIMAGE}/text.png",),
        fonts=("DejaVuSerif", "DejaVuSansMono-Bold", "cmtt10"),
        textures=("shards", "ripples"),
    ),
}


def sources(split: str) -> Sources:
    """Return the material of a split.

    Raises
    ------
    ValueError
        If there is no such split.
    """
    if split not in _SOURCES:
        raise ValueError(f"split must be one of {SPLITS}, not {split!r}")
    return _SOURCES[split]


def _package_file(name: str) -> Path:
    import importlib.util

    package, _, rest = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package} is missing: {install_hint('train')}")
    return Path(spec.submodule_search_locations[0]) / rest


@cache
def load_photo(name: str) -> Pixels:
    """Return a photograph, (height, width, 3); its shorter side has at most 700 pixels.

    Raises
    ------
    ValueError
        If the package that holds it is not installed.
    """
    with Image.open(_package_file(name)) as image:
        picture = image.convert("RGB")
    share = 700 / min(picture.size)
    if share < 1:
        size = (round(picture.width * share), round(picture.height * share))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture)


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font of Matplotlib's."""
    return ImageFont.truetype(str(_package_file(f"{_MATPLOTLIB}/fonts/ttf/{name}.ttf")), size)
