"""A table as data: aligned text when it is printed, HTML in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["PlainTable"]


@dataclass(frozen=True, repr=False)
class PlainTable:
    """Rows of cells under headings.

    Parameters
    ----------
    columns : sequence of str
        The headings.
    rows : sequence of sequences of str
        As many cells each as there are headings.
    words : sequence of str
        Headings of columns that hold text, aligned left; the others hold numbers, aligned right.
        The first column is always text.
    total : bool
        Whether the last row is the total.
    title : str

    Raises
    ------
    ValueError
        If a row has more or fewer cells than there are headings.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()
    total: bool = False
    title: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row must have {len(self.columns)} cells, not {len(row)}")

    def _left(self) -> list[bool]:
        return [not index or name in self.words for index, name in enumerate(self.columns)]

    def __repr__(self) -> str:
        return f"<table of {len(self.rows)} rows: {', '.join(self.columns)}>"

    def __str__(self) -> str:
        left = self._left()
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows)]

        def line(cells: Sequence[str]) -> str:
            padded = [
                cell.ljust(width) if words else cell.rjust(width)
                for cell, width, words in zip(cells, widths, left)
            ]
            return "  ".join(padded).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [self.title] if self.title else []
        lines += [line(self.columns), rule, *map(line, self.rows)]
        if self.total:
            lines.insert(-1, rule)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        sides = ["left" if words else "right" for words in self._left()]

        def line(kind: str, cells: Sequence[str]) -> str:
            inside = "".join(
                f'<{kind} style="text-align: {side}">{escape(cell)}</{kind}>'
                for cell, side in zip(cells, sides)
            )
            return f"<tr>{inside}</tr>"

        parts = ["<table>"]
        if self.title:
            parts.append(f"<caption>{escape(self.title)}</caption>")
        parts.append(f"<thead>{line('th', self.columns)}</thead><tbody>")
        last = len(self.rows) - 1
        for index, row in enumerate(self.rows):
            parts.append(line("th" if self.total and index == last else "td", row))
        parts.append("</tbody></table>")
        return "".join(parts)
