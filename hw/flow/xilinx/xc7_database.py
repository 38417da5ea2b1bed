"""Project X-Ray's database of a 7-series device: the bits of each tile's features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.hw.flow.xilinx.fasm import Feature, normal

__all__ = ["Bit", "Database", "Site"]

# Frame address, and the bit's number in the frame: 32 * word + bit.
Bit = tuple[int, int]

# Features of a type of tile: (kind of frames, frame, bit, whether it is set) for each bit.
_Segments = dict[str, list[tuple[str, int, int, bool]]]

_FRAMES = {"": "CLB_IO_CLK", "block_ram": "BLOCK_RAM"}


@dataclass(frozen=True)
class Site:
    """Position of a site.

    Parameters
    ----------
    tile : str
    index : int
        Among the sites of its kind in the tile, from below.
    """

    tile: str
    index: int


class Database:
    """The tiles of some kinds, and their bits.

    Parameters
    ----------
    folder : Path
        The family's, with ``segbits_*.db`` and a folder for each device.
    device : str
        Such as ``xc7z020``.
    kinds : tuple of str
        Prefixes of the types of tiles to read, such as ``DSP_``.

    Raises
    ------
    OSError
        If a file is missing.
    """

    def __init__(self, folder: Path, device: str, kinds: tuple[str, ...]) -> None:
        self._folder = folder
        grid = json.loads((folder / device / "tilegrid.json").read_text(encoding="utf-8"))
        self._tiles: dict[str, Any] = {
            name: tile for name, tile in grid.items() if tile["type"].startswith(kinds)
        }
        self._segments = {
            kind: self._read(kind) for kind in {tile["type"] for tile in self._tiles.values()}
        }
        self._names = {
            kind: {place[:3]: name for name, places in table.items() for place in places}
            for kind, table in self._segments.items()
        }
        # Tile and kind of frames at (frame address, word).
        self._owners = {
            (int(block["baseaddr"], 0) + frame, block["offset"] + word): (name, frames)
            for name, tile in self._tiles.items()
            for frames, block in tile["bits"].items()
            for frame in range(block["frames"])
            for word in range(block["words"])
        }

    def has(self, tile: str, feature: str) -> bool:
        """Whether a tile can have a feature that has bits; False for tiles of other kinds."""
        known = self._tiles.get(tile)
        return known is not None and feature in self._segments[known["type"]]

    def owner(self, bit: Bit) -> Feature | None:
        """A feature that a bit belongs to; None if no tile of the kinds uses it."""
        tile, frames = self._owners.get((bit[0], bit[1] // 32), ("", ""))
        if not tile:
            return None
        block = self._tiles[tile]["bits"][frames]
        place = (frames, bit[0] - int(block["baseaddr"], 0), bit[1] - 32 * block["offset"])
        name = self._names[self._tiles[tile]["type"]].get(place)
        return None if name is None else (tile, name)

    def _read(self, kind: str) -> _Segments:
        result: _Segments = {}
        for part, frames in _FRAMES.items():
            path = self._folder / f"segbits_{kind.lower()}{'.' if part else ''}{part}.db"
            if part and not path.exists():
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                name, *bits = line.split()
                result[normal(name.partition(".")[2])] = [
                    (frames, *_position(bit.removeprefix("!")), not bit.startswith("!"))
                    for bit in bits
                ]
        return result

    def bits(self, tile: str, feature: str) -> list[tuple[Bit, bool]]:
        """Bits of a feature, and whether each is set or clear when the tile has it.

        Raises
        ------
        KeyError
            If such a tile has no such feature.
        """
        values = self._tiles[tile]
        result = []
        for frames, frame, bit, value in self._segments[values["type"]][feature]:
            block = values["bits"][frames]
            place = (int(block["baseaddr"], 0) + frame, 32 * block["offset"] + bit)
            result.append((place, value))
        return result

    def site(self, name: str) -> Site:
        """Position of the site called `name`.

        Raises
        ------
        KeyError
            If no tile of the kinds has it.
        """
        prefix = name.rpartition("Y")[0]
        for tile, values in self._tiles.items():
            if name in values["sites"]:
                same = [site for site in values["sites"] if site.rpartition("Y")[0] == prefix]
                same.sort(key=lambda site: int(site.rpartition("Y")[2]))
                return Site(tile, same.index(name))
        raise KeyError(name)


def _position(text: str) -> tuple[int, int]:
    frame, bit = text.split("_")
    return int(frame), int(bit)
