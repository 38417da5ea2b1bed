"""Missing-register mutants: all clocked assignments of a register become combinational."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.sim.mutation.mutant import Edit, Site, Source, called, one_line, opens

__all__ = ["registers"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def registers(source: Source, name: str) -> list[Site]:
    """One site for each register of a module that can be missing."""
    return _Registers(source, name).all()


class _Registers:
    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name

    def all(self) -> list[Site]:
        """One site for each register that can be missing."""
        found: dict[tuple[ast.AST, str], list[_Clocked]] = {}
        for scope, function in _functions(self.source.tree):
            for statement, above in _clocked_statements(function):
                for element in _elements(statement.value):
                    call = element.elt if isinstance(element, ast.ListComp) else element
                    if not (isinstance(call, ast.Call) and called(call) == "eq"):
                        continue
                    assert isinstance(call.func, ast.Attribute)
                    target = ast.unparse(call.func.value)
                    owner = scope if target.startswith("self.") else function
                    item = _Clocked(statement, element, call.args[0], tuple(above))
                    found.setdefault((owner, target), []).append(item)
        result = []
        for (_, target), items in found.items():
            if not any(_mentions(node, target) for item in items for node in item.inputs):
                result.append(self._register(target, items))
        return result

    def _register(self, target: str, items: list[_Clocked]) -> Site:
        edits = []
        for statement in dict.fromkeys(item.statement for item in items):
            moved = [item.element for item in items if item.statement is statement]
            kept = [e for e in _elements(statement.value) if e not in moved]
            lines = [f"{self.source.of(statement.target)} += [{self._list(kept)}]"] if kept else []
            lines.append(f"m.d.comb += [{self._list(moved)}]")
            edits.append(Edit(*self.source.span(statement), "; ".join(lines)))
        first = items[0]
        shown = one_line(self.source.of(first.element))
        return Site(
            path=self.name,
            line=first.element.lineno,
            kind="register",
            before=f"{target}: m.d.sync += {shown}",
            after=(f"{target}: m.d.comb += {shown}",),
            edits=(tuple(edits),),
        )

    def _list(self, elements: Sequence[ast.expr]) -> str:
        stars = ("*" if isinstance(element, ast.ListComp) else "" for element in elements)
        return ", ".join(star + self.source.of(element) for star, element in zip(stars, elements))


@dataclass(frozen=True)
class _Clocked:
    """One clocked assignment: its statement, target, value, and conditions."""

    statement: ast.AugAssign
    element: ast.expr
    value: ast.expr
    above: tuple[ast.AST, ...]

    @property
    def inputs(self) -> tuple[ast.AST, ...]:
        return (self.value, *self.above)


def _functions(tree: ast.Module) -> Iterator[tuple[ast.AST, _Function]]:
    """Yield (class or the function itself, function) of all functions."""
    for node in tree.body:
        if isinstance(node, _Function):
            yield node, node
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, _Function):
                    yield node, item


def _clocked_statements(
    node: ast.AST, above: tuple[ast.AST, ...] = ()
) -> Iterator[tuple[ast.AugAssign, tuple[ast.AST, ...]]]:
    """Yield the statements ``m.d.sync += ...`` below `node`, and the conditions above each."""
    earlier: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.AugAssign) and isinstance(child.op, ast.Add):
            target = ast.unparse(child.target)
            if target.startswith("m.d") and target != "m.d.comb":
                yield child, above
        elif isinstance(child, ast.With):
            tests = [item.context_expr for item in child.items]
            # An Else or Elif depends on the conditions before it.
            chained = any(opens(child, name) for name in ("Elif", "Else"))
            before = tuple(earlier) if chained else ()
            earlier = [*earlier, *tests] if chained else list(tests)
            yield from _clocked_statements(child, (*above, *before, *tests))
        else:
            yield from _clocked_statements(child, above)


def _elements(value: ast.expr) -> list[ast.expr]:
    return list(value.elts) if isinstance(value, ast.List) else [value]


def _mentions(node: ast.AST, target: str) -> bool:
    return any(
        isinstance(part, ast.Name | ast.Attribute | ast.Subscript) and ast.unparse(part) == target
        for part in ast.walk(node)
    )
