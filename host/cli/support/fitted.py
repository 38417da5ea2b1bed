"""Tables that fit the terminal without cutting figures.

A table that is too wide wraps its headings, then its texts, between words.  If that is not enough,
the columns are split into parts below each other, each beginning with the first column.  In files
and pipes, which have no width, every row is one line.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

__all__ = ["Column", "Rows", "fill", "lines", "show", "terminal_width"]

# Least width of a wrapped text, unless all its words are shorter.
_LEAST_TEXT = 16

# Spaces inside a figure, at which no line is broken: 2 612 354, 99.5 %, 33.6 kB.
_INSIDE = re.compile(r"(?<=\d) (?=\d{3}\b|%|[kMG]?B\b|[kMG] )")
_HOLD = "\N{NO-BREAK SPACE}"

# Between two columns.
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
        Its heading.
    text : bool
        Whether it holds text, which may be wrapped; figures are not.
    """

    name: str
    text: bool = False


@dataclass(frozen=True)
class Rows:
    """A table: columns, rows of cells, and whether the last row is a total.

    Parameters
    ----------
    columns : sequence of Column
        The first one names the rows; it is never wrapped.
    rows : sequence of sequences of str
    total : bool
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    total: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row must have {len(self.columns)} cells")


def terminal_width(file: IO[str] | None = None) -> int | None:
    """Return the width of the terminal that `file` (standard output) is; None if it is none."""
    return shutil.get_terminal_size().columns if (file or sys.stdout).isatty() else None


def fill(text: str) -> str:
    """Return a paragraph with its lines broken for the terminal; on one line elsewhere."""
    width = terminal_width()
    if width is None:
        return text
    held = _INSIDE.sub(_HOLD, text)
    return textwrap.fill(held, max(width, 20), break_long_words=False).replace(_HOLD, " ")


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _widths(table: Rows, chosen: Sequence[int], width: int | None) -> list[int] | None:
    """Return widths with which the chosen columns fit, or None."""
    natural, least = [], []
    for index in chosen:
        column, cells = table.columns[index], [row[index] for row in table.rows]
        body = max((len(cell) for cell in cells), default=0)
        natural.append(max(body, len(column.name)))
        heading = _longest_word([column.name])
        if not column.text or index == 0:
            least.append(max(body, heading))
        else:
            word = max(_longest_word(cells), heading)
            least.append(min(natural[-1], max(word, _LEAST_TEXT)))
    gaps = _GAP * (len(chosen) - 1)
    if width is None or sum(natural) + gaps <= width:
        return natural
    spare = width - gaps - sum(least)
    if spare < 0:
        return None
    # Wrapped headings cost one line, wrapped texts one in each row: texts get the free space first.
    result = list(least)
    for place in sorted(range(len(chosen)), key=lambda at: not table.columns[chosen[at]].text):
        more = min(spare, natural[place] - least[place])
        result[place] += more
        spare -= more
    return result


def _parts(table: Rows, width: int | None) -> list[tuple[list[int], list[int]]]:
    """Return the columns of each part with their widths; a part has the first and one more."""
    rest = list(range(1, len(table.columns)))
    parts = []
    while True:
        count = len(rest)
        while (widths := _widths(table, [0, *rest[:count]], width)) is None and count > 1:
            count -= 1
        chosen = [0, *rest[:count]]
        # A column that still does not fit is shown as it is: a terminal wraps lines and cuts
        # nothing.
        parts.append((chosen, widths or _widths(table, chosen, None) or []))
        rest = rest[count:]
        if not rest:
            return parts


def _folded(text: str, width: int, *, text_column: bool) -> list[str]:
    """Return the lines of a cell."""
    if len(text) <= width or not text_column:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    padded = [
        cell.ljust(width) if side else cell.rjust(width)
        for cell, width, side in zip(cells, widths, left, strict=True)
    ]
    return (" " * _GAP).join(padded).rstrip()


def lines(table: Rows, width: int | None) -> Iterator[str]:
    """Yield the lines of a table for a terminal of so many columns; None: of any width."""
    for chosen, widths in _parts(table, width):
        columns = [table.columns[index] for index in chosen]
        left = [column.text or index == 0 for index, column in zip(chosen, columns)]
        heads = [
            _folded(column.name, size, text_column=True) for column, size in zip(columns, widths)
        ]
        high = max(len(head) for head in heads)
        yield ""
        for level in range(high):
            cells = [["", *head][max(0, level - high + len(head) + 1)] for head in heads]
            yield _line(cells, widths, left)
        rule = "─" * (sum(widths) + _GAP * (len(widths) - 1))
        yield rule
        for number, row in enumerate(table.rows):
            if table.total and number == len(table.rows) - 1:
                yield rule
            cells = [row[index] for index in chosen]
            folded = [
                _folded(cell, size, text_column=column.text)
                for cell, size, column in zip(cells, widths, columns)
            ]
            for level in range(max(len(cell) for cell in folded)):
                shown = [cell[level] if level < len(cell) else "" for cell in folded]
                yield _line(shown, widths, left)
    yield ""


def show(table: Rows) -> None:
    """Print a table."""
    for line in lines(table, terminal_width()):
        print(line)
