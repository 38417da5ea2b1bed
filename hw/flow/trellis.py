"""Project Trellis' textual configuration: what a finished ECP5 bitstream shall have, and has."""

from __future__ import annotations

from pathlib import Path

__all__ = ["compare", "read_config"]

# Kinds of lines that stand for bits of a tile.
_KINDS = ("arc", "word", "enum")

Setting = tuple[str, str]


def read_config(path: Path) -> tuple[set[Setting], dict[str, list[str]]]:
    """Read a configuration.

    Returns
    -------
    settings : set of (tile, line)
        Connections, words and choices of the tiles.
    memories : dict of str to list of str
        Lines of each initialised block RAM, by its number.

    Raises
    ------
    ValueError
        If it has no tiles.
    """
    settings: set[Setting] = set()
    memories: dict[str, list[str]] = {}
    tile = memory = ""
    tiles = 0
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == ".tile":
                tile, memory = words[1], ""
                tiles += 1
            elif words[0] == ".bram_init":
                tile, memory = "", words[1]
                memories[memory] = []
            elif words[0].startswith("."):
                tile = memory = ""
            elif memory:
                memories[memory] += words
            elif tile and words[0].rstrip(":") in _KINDS:
                settings.add((tile, " ".join(words)))
    if not tiles:
        raise ValueError(f"{path.name} has no tiles")
    return settings, memories


def compare(asked: Path, read: Path, *, most: int = 3) -> str:
    """Compare what was asked for with what was read back.

    Parameters
    ----------
    asked, read : Path
        Configurations.
    most : int
        Differences to tell.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    ValueError
        If a connection or the contents of a memory differ.
    """
    wanted, contents = read_config(asked)
    found, there = read_config(read)
    # Words and choices that are all zeros have no bits, so only connections must be the same.
    arcs = {setting for setting in wanted if setting[1].startswith("arc:")}
    got = {setting for setting in found if setting[1].startswith("arc:")}
    wrong = [f"{tile} lacks {line}" for tile, line in sorted(arcs - got)]
    wrong += [f"{tile} has {line}" for tile, line in sorted(got - arcs)]
    others = found - got
    wrong += [f"{tile} has {line}" for tile, line in sorted(others - wanted)]
    for number, lines in sorted(contents.items()):
        if any(int(word, 16) for word in lines) and there.get(number) != lines:
            wrong.append(f"block RAM {number} has other contents")
    if wrong:
        raise ValueError(f"{len(wrong)} settings differ: {'; '.join(wrong[:most])}")
    return (
        f"The finished bitstream was read back: its {len(arcs)} connections, "
        f"{len(others)} words and choices of tiles and {len(there)} block RAMs' contents are those "
        "that were asked for."
    )
