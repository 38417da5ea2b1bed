"""The board of docs/adding_a_board.md, as a file."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["write_example"]

_GUIDE = Path(__file__).parents[2] / "docs" / "adding_a_board.md"


def write_example(folder: Path) -> Path:
    """Write the guide's only Python block into ``my_board.py``; return its path."""
    (block,) = re.findall(r"```python\n(.*?)```", _GUIDE.read_text(encoding="utf-8"), re.S)
    path = folder / "my_board.py"
    path.write_text(block, encoding="utf-8")
    return path
