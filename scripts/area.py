"""Synthesise arches for a board and write their resources into the area model's table.

``scripts/area.py BOARD ARCH...``: arches by name, ROWSxCOLS or .toml files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from penstock.host.explore import area
from penstock.hw.boards.catalog import get_board
from penstock.hw.flow.measure import measure
from penstock.models.spec.arch_file import find_arch

__all__ = ["main"]

_TABLE = Path(area.__file__).with_name("measured.json")


def main(board_name: str, names: list[str]) -> None:
    """Measure, and write the table after each arch; entries with equal parameters are replaced."""
    board = get_board(board_name)
    for name in names:
        arch = find_arch(name)
        print(f"{board.name}, arch {arch}: synthesis", file=sys.stderr, flush=True)
        row = measure(board, arch)
        rows = json.loads(_TABLE.read_text(encoding="utf-8"))
        rows = [old for old in rows if (old["board"], old["arch"]) != (row["board"], row["arch"])]
        text = ",\n".join(json.dumps(one) for one in [*rows, row])
        _TABLE.write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
