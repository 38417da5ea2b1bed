"""FASM: the features that a bitstream sets, one feature of one tile per line.

::

    CLBLM_R_X5Y10.SLICEM_X0.AFF.ZINI
    BRAM_L_X6Y5.RAMB18_Y0.INIT_00[255:0] = 256'b0...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["Feature", "features", "normal", "tile_of"]

# A feature of one bit: the tile, and the rest as the database spells it but for leading zeros.
Feature = tuple[str, str]

_LINE = re.compile(
    r"(?P<name>[\w.]+)(?:\[(?P<high>\d+)(?::(?P<low>\d+))?\])?"
    r"(?:\s*=\s*(?P<value>\d+'(?:[bB][01_]+|[dD][\d_]+|[hH][\da-fA-F_]+)|\d+))?\s*$"
)
_INDEX = re.compile(r"\[0*(\d+)\]")
_BASES = {"b": 2, "h": 16, "d": 10}


def normal(name: str) -> str:
    """A feature's name with its index as a plain number: ``INIT_00[7]`` for ``INIT_00[007]``."""
    return _INDEX.sub(r"[\1]", name)


def tile_of(line: str) -> str:
    """The tile that a line of FASM is about."""
    return line.split(".", 1)[0].strip()


def _number(text: str) -> int:
    if "'" not in text:
        return int(text)
    _, digits = text.split("'")
    return int(digits[1:].replace("_", ""), _BASES[digits[0].lower()])


def features(lines: Iterable[str]) -> Iterator[Feature]:
    """Yield the single-bit features that FASM sets.

    Raises
    ------
    ValueError
        If a line is not FASM.
    """
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].split("{")[0].strip()
        if not text:
            continue
        match = _LINE.match(text)
        if match is None or "." not in match["name"]:
            raise ValueError(f"line {number} is not FASM: {text[:80]!r}")
        tile, _, name = match["name"].partition(".")
        value = 1 if match["value"] is None else _number(match["value"])
        if match["high"] is None:
            if value:
                yield tile, name
            continue
        low = int(match["low"] or match["high"])
        for index in range(int(match["high"]) - low + 1):
            if value >> index & 1:
                yield tile, f"{name}[{low + index}]"
