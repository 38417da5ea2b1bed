"""Decoys that look like codes: the hard negatives, as flat RGBA pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from scripts.screening.codes import code_modules, print_modules
from scripts.screening.sources import Sources, load_font, load_photo

__all__ = ["DECOYS", "decoy"]

Random = np.random.Generator

_SYLLABLES = "al an ar be ca de di en er es fo ga ha in is ka la lo ma ne no on or pa re ri sa se"
_SYLLABLES += " st ta te ti to un ve vi wa"


def _word(rng: Random) -> str:
    return "".join(rng.choice(_SYLLABLES.split(), int(rng.integers(1, 5))))


def _paper(rng: Random, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, ...]]:
    """Return an empty sheet, and an ink for it: dark on light, or the other way round."""
    light = tuple(int(c) for c in rng.integers(200, 256, 3))
    dark = tuple(int(c) for c in rng.integers(0, 70, 3))
    if rng.random() < 0.12:
        light, dark = dark, light
    return Image.new("RGBA", size, light), dark


def _text(rng: Random, allowed: Sources) -> Image.Image:
    """A page of words, in one or two columns."""
    if allowed.pages and rng.random() < 0.15:
        return _page(rng, allowed)
    sheet, ink = _paper(rng, (420, int(rng.integers(200, 560))))
    pen = ImageDraw.Draw(sheet)
    size = int(rng.integers(9, 40))
    font = load_font(str(rng.choice(allowed.fonts)), size)
    spacing = rng.uniform(1.05, 1.6)
    columns = 1 if rng.random() < 0.7 else 2
    width = 420 // columns
    for column in range(columns):
        y = rng.uniform(5, 25)
        while y < sheet.height - size:
            x = column * width + 12.0
            while x < (column + 1) * width - size * 2:
                word = _word(rng)
                if rng.random() < 0.15:
                    word = str(rng.integers(0, 10**6))
                pen.text((x, y), word, font=font, fill=ink)
                x += pen.textlength(word + " ", font=font)
            y += size * spacing
    return sheet


def _page(rng: Random, allowed: Sources) -> Image.Image:
    """A piece of a photographed page."""
    photo = load_photo(str(rng.choice(allowed.pages)))
    height, width = photo.shape[:2]
    side = int(rng.integers(min(height, width) // 2, min(height, width) + 1))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    piece = Image.fromarray(photo[top : top + side, left : left + side])
    return piece.convert("RGBA")


def _barcode(rng: Random, allowed: Sources) -> Image.Image:
    """Bars of one to four units, with digits below."""
    sheet, ink = _paper(rng, (420, int(rng.integers(120, 300))))
    pen = ImageDraw.Draw(sheet)
    unit = rng.uniform(1.5, 5)
    foot = sheet.height - int(rng.integers(8, 50))
    x = rng.uniform(8, 30)
    while x < 400:
        bar = unit * float(rng.integers(1, 5))
        pen.rectangle((x, 10, x + bar, foot), fill=ink)
        x += bar + unit * float(rng.integers(1, 5))
    font = load_font(str(rng.choice(allowed.fonts)), 26)
    digits = " ".join(str(d) for d in rng.integers(0, 10, 12))
    pen.text((30, foot + 2), digits, font=font, fill=ink)
    return sheet


def _checkerboard(rng: Random, allowed: Sources) -> Image.Image:
    rows, columns = (int(n) for n in rng.integers(3, 30, 2))
    if rng.random() < 0.5:
        columns = rows
    squares = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
    return print_modules(rng, squares, quiet=int(rng.integers(0, 3)), pitch=12)


def _scrambled(rng: Random, allowed: Sources) -> Image.Image:
    """A code without its finder patterns: they, or all modules, are random; one may be left."""
    modules = code_modules(rng)
    n = len(modules)
    if rng.random() < 0.5:
        modules = rng.permutation(modules.ravel()).reshape(n, n)
    else:
        corners = [(slice(0, 8), slice(0, 8)), (slice(0, 8), slice(n - 8, n))]
        corners.append((slice(n - 8, n), slice(0, 8)))
        spared = int(rng.integers(0, 6))
        for number, corner in enumerate(corners):
            if number != spared:
                modules[corner] = rng.random((8, 8)) < rng.uniform(0.35, 0.6)
    return print_modules(rng, modules, quiet=int(rng.integers(1, 5)))


def _squares(rng: Random, allowed: Sources) -> Image.Image:
    """Nested squares like finder patterns, but never three at the places of a code."""
    sheet, ink = _paper(rng, (400, 400))
    paper = sheet.getpixel((0, 0))
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(1, 3))):
        side = rng.uniform(60, 300)
        x, y = rng.uniform(5, 395 - side, 2)
        for ring in range(int(rng.integers(2, 7))):
            inset = ring * side / 10
            if inset * 2 < side - 2:
                box = (x + inset, y + inset, x + side - inset, y + side - inset)
                pen.rectangle(box, fill=paper if ring % 2 else ink)
    return sheet


def _windows(rng: Random, allowed: Sources) -> Image.Image:
    """The front of a building."""
    sheet, ink = _paper(rng, (420, int(rng.integers(250, 500))))
    pen = ImageDraw.Draw(sheet)
    rows, columns = int(rng.integers(3, 14)), int(rng.integers(3, 14))
    height, width = sheet.height / rows, sheet.width / columns
    fill = rng.uniform(0.4, 0.8, 2)
    for row in range(rows):
        for column in range(columns):
            glass = tuple(int(c * rng.uniform(0.5, 1.8)) for c in ink)
            x, y = column * width, row * height
            box = (x + 4, y + 4, x + width * fill[0], y + height * fill[1])
            pen.rectangle(box, fill=glass)
            if rng.random() < 0.3:
                middle = (box[0] + box[2]) / 2
                pen.line((middle, box[1], middle, box[3]), fill=sheet.getpixel((0, 0)), width=2)
    return sheet


def _keyboard(rng: Random, allowed: Sources) -> Image.Image:
    sheet, ink = _paper(rng, (440, 170))
    pen = ImageDraw.Draw(sheet)
    face = tuple(int(c) for c in rng.integers(0, 256, 3))
    font = load_font(str(rng.choice(allowed.fonts)), 15)
    for row in range(5):
        x = 6.0 + 8 * (row % 3)
        while x < 420:
            wide = 28 * (1.0 if rng.random() < 0.85 else float(rng.uniform(1.3, 4)))
            box = (x, 6 + row * 33, min(x + wide, 436), 33 + row * 33)
            pen.rounded_rectangle(box, radius=4, fill=face, outline=ink)
            pen.text((x + 8, 10 + row * 33), chr(int(rng.integers(65, 91))), font=font, fill=ink)
            x += wide + 4
    return sheet


def _crossword(rng: Random, allowed: Sources) -> Image.Image:
    """Square cells, some filled, with thin lines and letters."""
    n = int(rng.integers(7, 18))
    sheet, ink = _paper(rng, (n * 24 + 1, n * 24 + 1))
    pen = ImageDraw.Draw(sheet)
    font = load_font(str(rng.choice(allowed.fonts)), 16)
    for y in range(n):
        for x in range(n):
            box = (x * 24, y * 24, x * 24 + 24, y * 24 + 24)
            dark = rng.random() < 0.25
            pen.rectangle(box, fill=ink if dark else None, outline=ink)
            if not dark and rng.random() < 0.6:
                letter = chr(int(rng.integers(65, 91)))
                pen.text((x * 24 + 6, y * 24 + 3), letter, font=font, fill=ink)
    return sheet


DECOYS: dict[str, Callable[[Random, Sources], Image.Image]] = {
    "text": _text,
    "barcode": _barcode,
    "checkerboard": _checkerboard,
    "scrambled": _scrambled,
    "squares": _squares,
    "windows": _windows,
    "keyboard": _keyboard,
    "crossword": _crossword,
}


def decoy(rng: Random, kind: str, allowed: Sources) -> Image.Image:
    """Return a hard negative of a kind, made of what a split may use.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in DECOYS:
        raise ValueError(f"kind must be one of {sorted(DECOYS)}, not {kind!r}")
    return DECOYS[kind](rng, allowed)
