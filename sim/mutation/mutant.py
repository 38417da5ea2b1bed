"""A single fault in a module: its place, the original text and the replacements."""

from __future__ import annotations

import ast
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Edit", "Mutant", "Site", "Source", "called", "draw", "one_line", "opens"]

KINDS = ("operator", "constant", "condition", "register")


@dataclass(frozen=True)
class Edit:
    """Bytes `start` to `end` of a source become `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Site:
    """A place for one fault.

    Attributes
    ----------
    path : str
        Of the module, relative to the root of the tree.
    line : int
    kind : str
        One of `KINDS`.
    before : str
    after : tuple of str
        The replacements.
    """

    path: str
    line: int
    kind: str
    before: str
    after: tuple[str, ...]
    edits: tuple[tuple[Edit, ...], ...]


@dataclass(frozen=True)
class Mutant:
    """A fault at a site: its alternative number `choice`."""

    site: Site
    choice: int

    @property
    def key(self) -> str:
        """Identifies the fault as long as the module is unchanged."""
        edits = self.site.edits[self.choice]
        places = ",".join(f"{edit.start}-{edit.end}" for edit in edits)
        # Registers that are assigned together have the same places.
        text = zlib.crc32("\0".join(edit.text for edit in edits).encode())
        return f"{self.site.path}:{self.site.line}:{self.site.kind}:{places}:{text:08x}"

    @property
    def before(self) -> str:
        return self.site.before

    @property
    def after(self) -> str:
        return self.site.after[self.choice]

    def apply(self, source: str) -> str:
        """Return the module's source with the fault in it."""
        text = source.encode()
        for edit in sorted(self.site.edits[self.choice], key=lambda e: e.start, reverse=True):
            text = text[: edit.start] + edit.text.encode() + text[edit.end :]
        return text.decode()


def draw(found: Sequence[Site], count: int, *, seed: int) -> list[Mutant]:
    """Draw `count` different sites, uniformly, and a fault at each.

    A shorter draw is a prefix of a longer one.
    """
    rng = random.Random(seed)
    order = list(found)
    rng.shuffle(order)
    mutants = [Mutant(site, rng.randrange(len(site.after))) for site in order]
    return mutants[:count]


class Source:
    """The text of a module and its syntax tree."""

    def __init__(self, text: str) -> None:
        self.raw = text.encode()
        self.tree = ast.parse(text)
        self._starts = [0]
        for line in self.raw.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """First byte of a node, and the one after its last."""
        place: ast.expr = node  # type: ignore[assignment]
        assert place.end_lineno is not None
        assert place.end_col_offset is not None
        return (
            self._starts[place.lineno - 1] + place.col_offset,
            self._starts[place.end_lineno - 1] + place.end_col_offset,
        )

    def of(self, node: ast.AST) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.raw[start:end].decode()


def called(node: ast.Call) -> str:
    """The last part of a called name."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def opens(node: ast.AST, name: str) -> bool:
    """Whether `node` is ``with m.name(...)``."""
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call) and called(item.context_expr) == name
        for item in node.items
    )


def one_line(text: str) -> str:
    return " ".join(text.split())
