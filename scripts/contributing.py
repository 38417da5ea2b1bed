"""The generated parts of CONTRIBUTING.md: the tree, from its docstrings, and the make targets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

__all__ = ["with_targets", "with_tree"]

_END = "<!-- end -->\n"
_TOPS = ("models", "hw", "host", "sim", "scripts")
# Folders that are no packages.
_WITHOUT = {"scripts": "What `make` targets run, and the training of the networks that ship."}


def _between(page: str, name: str, text: str) -> str:
    """Replace the text between the mark called `name` and the next end mark."""
    mark = f"<!-- make docs: {name} -->\n"
    before, rest = page.split(mark)
    _, after = rest.split(_END, 1)
    return before + mark + text + "\n" + _END + after


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.replace("``", "`")


def with_tree(page: str, root: Path) -> str:
    """Return the page with every folder of the tree below `root`: what its ``__init__`` says."""
    lines: list[str] = []
    for top in _TOPS:
        if not (root / top / "__init__.py").is_file():
            lines += ["", f"### `{top}/`", "", _WITHOUT[top], ""]
        for path in sorted((root / top).rglob("__init__.py"), key=lambda path: path.parts):
            folder = path.parent.relative_to(root).as_posix()
            text = " ".join(_docstring(path).split())
            if folder == top:
                lines += ["", f"### `{top}/`", "", text, ""]
            else:
                lines.append(f"* `{folder}/`: {text}")
    return _between(page, "tree", "\n".join(lines).strip() + "\n")


def with_targets(page: str, makefile: str) -> str:
    """Return the page with the targets that the head of the Makefile lists."""
    rows: list[list[str]] = []
    for line in makefile.split("\n\n")[0].splitlines()[2:]:
        target = re.match(r"#   (make [a-z-]+) +(\S.*)", line)
        if target:
            rows.append([target[1], target[2]])
        else:
            rows[-1][1] += " " + line.lstrip("# ").strip()
    table = ["| command | what it does |", "|---|---|"]
    table += [f"| `{command}` | {text} |" for command, text in rows]
    return _between(page, "targets", "\n".join(table))
