"""Fenced blocks of Markdown pages, and the commands in them.

A block of commands (`sh`, or `console` with prompts and output) or of Python is run by
`tests/system/test_doc_commands.py`, and the output shown in a `console` block is compared with the
real one, unless a comment before it gives a reason not to::

    <!-- not run: needs a board -->
    <!-- not compared: random weights -->

In the output shown, a line ``...`` stands for any number of lines; spacing is ignored.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COMMANDS", "Block", "blocks", "inline_commands", "unlike"]

COMMANDS = ("sh", "console")

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_REASON = re.compile(r"<!-- not run: (.+?) -->")
_DIFFERS = re.compile(r"<!-- not compared: (.+?) -->")
_INLINE = re.compile(r"(?<!`)`(penstock [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Parameters
    ----------
    line : int
        Of its fence, from 1.
    language : str
        Text after the fence.
    text : str
    reason : str
        Reason for not running it; empty: it is run.
    differs : str
        Reason for not comparing its output; empty: it is compared, if any is shown.
    """

    line: int
    language: str
    text: str
    reason: str
    differs: str = ""

    def commands(self) -> list[str]:
        """Return a block's commands, each in one line, without prompts, output and comments."""
        return [command for command, _ in self.dialogue()]

    def dialogue(self) -> list[tuple[str, list[str]]]:
        """Return a block's commands, each with the lines that are shown below it."""
        found: list[tuple[str, list[str]]] = []
        open_line = False
        for line in self.text.splitlines():
            if self.language == "console" and not open_line:
                if not line.startswith("$ "):
                    if found:
                        found[-1][1].append(line)
                    continue
                line = line[2:]
            text = line.rstrip("\\").strip()
            if open_line:
                command, shown = found[-1]
                found[-1] = (f"{command} {text}", shown)
            elif text and not text.startswith("#"):
                found.append((text, []))
            open_line = line.endswith("\\")
        return found


def unlike(shown: Sequence[str], printed: Sequence[str]) -> str:
    """Return the first shown line that was not printed where it should be; empty: all were.

    A line ``...`` is any number of lines, and only words count, not the space between them.
    """
    left = [line.split() for line in printed if line.strip()]
    skip = False
    for line in shown:
        words = line.split()
        if words == ["..."]:
            skip = True
        elif words:
            if skip and words in left:
                del left[: left.index(words)]
            if not left or left[0] != words:
                return line
            del left[0]
            skip = False
    return "" if skip or not left else f"nothing more, not {' '.join(left[0])}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, those inside others not included."""
    found = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start, fence, indent, language = 0, "", 0, ""
    before = ""
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if not fence:
            if match:
                start, indent, fence, language = number, len(match[1]), match[2], match[3].strip()
            elif line.strip():
                before = line
        elif match and match[2].startswith(fence) and not match[3].strip():
            text = "\n".join(inside[indent:] for inside in lines[start : number - 1])
            reason, differs = _REASON.search(before), _DIFFERS.search(before)
            found.append(
                Block(
                    start,
                    language,
                    text,
                    reason[1] if reason else "",
                    differs[1] if differs else "",
                )
            )
            fence = before = ""
    assert not fence, f"{page.name}:{start}: the block has no end"
    return found


def inline_commands(page: Path) -> list[list[str]]:
    """Return the words of `penstock` commands in running text."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"^( *)```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = [match[1].replace("\n", " ") for match in _INLINE.finditer(outside)]
    return [[word for word in shlex.split(command) if word != "..."] for command in found]
