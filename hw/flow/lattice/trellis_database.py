"""Project Trellis' database: the bits of a device for each setting of a tile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Database"]

_BIT = re.compile(r"(!?)F(\d+)B(\d+)")

# The value of a choice that is left as it is.
_NOTHING = "_NONE_"

# Bits of a tile and their values: frame and position in it.
_Group = dict[tuple[int, int], bool]


class Database:
    """The tiles of a device.

    Parameters
    ----------
    folder : Path
        ``database`` of Project Trellis.
    family, device : str
        Such as ``ECP5`` and ``LFE5U-85F``.

    Raises
    ------
    ValueError
        If there is no such device.
    """

    def __init__(self, folder: Path, *, family: str, device: str) -> None:
        self._folder = folder / family / "tiledata"
        try:
            text = (folder / family / device / "tilegrid.json").read_text(encoding="ascii")
        except OSError:
            raise ValueError(f"no device {device} in the database") from None
        self._tiles = {
            name: (tile["start_frame"], tile["start_bit"])
            for name, tile in json.loads(text).items()
        }
        self._kinds: dict[str, _Kind] = {}

    def bits(self, names: str, settings: Iterable[str]) -> set[tuple[int, int]]:
        """Return the bits that settings of tiles set to 1.

        Parameters
        ----------
        names : str
            A tile such as ``R1C2:PLC2``, or a group separated by spaces, in which a setting applies
            to each tile that has it.
        settings : iterable of str
            Such as ``arc: A1 H02E0001``; later settings override earlier ones.

        Returns
        -------
        set of (frame, bit)
            In the device: tiles overlap.

        Raises
        ------
        ValueError
            If the database has no such tile or setting.
        """
        tiles = [self._tile(name) for name in names.split()]
        values: _Group = {}
        for setting in settings:
            known = False
            for kind, frame, bit in tiles:
                group = kind.group(setting)
                if group is not None:
                    known = True
                    values |= {(frame + f, bit + b): value for (f, b), value in group.items()}
            if not known:
                raise ValueError(f"{names}: no setting {setting!r} in the database")
        return {bit for bit, value in values.items() if value}

    def _tile(self, name: str) -> tuple[_Kind, int, int]:
        if name not in self._tiles:
            raise ValueError(f"no tile {name} in the database")
        kind = name.rpartition(":")[2]
        if kind not in self._kinds:
            self._kinds[kind] = _Kind(self._folder / kind / "bits.db")
        return self._kinds[kind], *self._tiles[name]


class _Kind:
    """One kind of tile: see "Text configuration" and "Bits" in Project Trellis' documentation."""

    def __init__(self, path: Path) -> None:
        # Whole lines of a configuration, but for words.
        self._choices: dict[str, _Group] = {}
        self._words: dict[str, list[_Group]] = {}
        self._enums: set[str] = set()
        head = [""]
        try:
            text = path.read_text(encoding="ascii")
        except OSError:
            raise ValueError(f"{path.parent.name}: no such tile in the database") from None
        for line in text.splitlines():
            words = line.split()
            if not words:
                head = [""]
            elif words[0].startswith("."):
                head = words
                if head[0] == ".fixed_conn":
                    self._choices[f"arc: {head[1]} {head[2]}"] = {}
                elif head[0] == ".config":
                    self._words[head[1]] = []
                elif head[0] == ".config_enum":
                    self._enums.add(head[1])
            elif head[0] == ".mux":
                self._choices[f"arc: {head[1]} {words[0]}"] = _group(words[1:])
            elif head[0] == ".config_enum":
                self._choices[f"enum: {head[1]} {words[0]}"] = _group(words[1:])
            elif head[0] == ".config":
                self._words[head[1]].append(_group(words))

    def group(self, setting: str) -> _Group | None:
        """Bits that a line of a configuration sets and clears; None if there is no such setting."""
        what, name, *value = setting.split()
        if what == "unknown:":
            return _group([name])
        if what == "enum:" and value == [_NOTHING]:
            return {} if name in self._enums else None
        if what != "word:":
            return self._choices.get(setting)
        groups = self._words.get(name, [])
        if not value or len(groups) != len(value[0]):
            return None
        # The highest bit comes first.
        return {
            bit: one == (digit == "1")
            for group, digit in zip(groups, reversed(value[0]))
            for bit, one in group.items()
        }


def _group(names: list[str]) -> _Group:
    """From ``F1B2`` for a 1, ``!F1B2`` for a 0 and ``-`` for no bit."""
    group = {}
    for name in names:
        match = _BIT.fullmatch(name)
        if match:
            group[int(match[2]), int(match[3])] = not match[1]
    return group
