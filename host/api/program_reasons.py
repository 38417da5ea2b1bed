"""`Reasons`: why a program is as it is, as tables and sentences that print and show themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from penstock.models.spec.plain_table import PlainTable

__all__ = ["Reasons", "ReasonsPart"]


@dataclass(frozen=True)
class ReasonsPart:
    """A table with sentences around it.

    Parameters
    ----------
    title : str
        Above the table: a layer and what it covers, or a sentence.
    table : PlainTable
    notes : tuple of str
        Sentences below.
    """

    title: str
    table: PlainTable
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Reasons:
    """What was considered for each layer of a program, and what sets the rate on a board.

    ``str()`` gives all of it as text, and a notebook shows tables; iteration gives the parts.

    Parameters
    ----------
    parts : tuple of ReasonsPart
        One for each hardware layer; one on the fully connected layers, if there are any; and one on
        the stages that work at the same time.
    """

    parts: tuple[ReasonsPart, ...]

    def __iter__(self) -> Iterator[ReasonsPart]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        return f"<reasons in {len(self.parts)} parts: {'; '.join(p.title for p in self.parts)}>"

    def __str__(self) -> str:
        texts = ("\n".join([part.title, "", str(part.table), "", *part.notes]) for part in self)
        return "\n\n".join(text.rstrip("\n") for text in texts)

    def _repr_html_(self) -> str:
        return "".join(
            f"<p>{escape(part.title)}</p>{part.table._repr_html_()}"
            + "".join(f"<p>{escape(note)}</p>" for note in part.notes)
            for part in self
        )
