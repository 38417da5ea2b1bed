"""Project Trellis' textual configuration: required and actual settings of a bitstream."""

from __future__ import annotations

from pathlib import Path

from penstock.hw.flow.lattice.trellis_database import Database

__all__ = ["compare", "read_config"]

# Kinds of lines that stand for bits of a tile.
_KINDS = ("arc", "word", "enum", "unknown")


def read_config(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Read a configuration.

    Returns
    -------
    tiles : dict of str to list of str
        Settings of each tile, or of several tiles separated by spaces, at least one of which has
        each setting: connections, words, choices and bits without a name.
    memories : dict of str to list of str
        Lines of each initialised block RAM, by its number.

    Raises
    ------
    ValueError
        If it has no tiles.
    """
    tiles: dict[str, list[str]] = {}
    memories: dict[str, list[str]] = {}
    tile = memory = ""
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] in (".tile", ".tile_group"):
                tile, memory = " ".join(words[1:]), ""
                tiles.setdefault(tile, [])
            elif words[0] == ".bram_init":
                tile, memory = "", words[1]
                memories[memory] = []
            elif words[0].startswith("."):
                tile = memory = ""
            elif memory:
                memories[memory] += words
            elif tile and words[0].rstrip(":") in _KINDS:
                tiles[tile].append(" ".join(words))
    if not tiles:
        raise ValueError(f"{path.name} has no tiles")
    return tiles, memories


def compare(asked: Path, read: Path, database: Database, *, most: int = 3) -> str:
    """Compare the requested configuration with the one read back, bit by bit.

    The same bits have several names: a mode of a slice is also read back as a connection, and
    settings without bits are not read back.

    Parameters
    ----------
    asked, read : Path
        Configurations.
    database : Database
    most : int
        Most differences to report.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    ValueError
        If a bit or the contents of a memory differ.
    """
    wanted, contents = read_config(asked)
    found, there = read_config(read)
    # Bits that are asked for without a name can be part of a choice, and are then not read back
    # unless its other bits fit.
    bits = _bits(wanted, database, nameless=False)
    allowed = _bits(wanted, database)
    got = _bits(found, database)
    wrong = [_say(bits[bit], "lacks", bit) for bit in sorted(bits.keys() - got.keys())]
    wrong += [_say(got[bit], "has", bit) for bit in sorted(got.keys() - allowed.keys())]
    for number, lines in sorted(contents.items()):
        if any(int(word, 16) for word in lines) and there.get(number) != lines:
            wrong.append(f"block RAM {number} has other contents")
    if wrong:
        raise ValueError(f"{len(wrong)} differences: {'; '.join(wrong[:most])}")
    return (
        f"The finished bitstream was read back: its {len(bits)} bits of tiles and "
        f"{len(there)} block RAMs' contents are those that were asked for."
    )


def _bits(
    tiles: dict[str, list[str]], database: Database, *, nameless: bool = True
) -> dict[tuple[int, int], str]:
    """The setting that each 1 bit comes from."""
    return {
        bit: name
        for name, settings in tiles.items()
        for bit in database.bits(
            name, (s for s in settings if nameless or not s.startswith("unknown:"))
        )
    }


def _say(tile: str, what: str, bit: tuple[int, int]) -> str:
    return f"{tile} {what} bit {bit[1]} of frame {bit[0]}"
