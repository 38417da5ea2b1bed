"""Sites of single faults in hardware modules, found in their syntax trees.

A site is one place where one thing can be wrong:

========= ======================================================================================
kind      fault
========= ======================================================================================
operator  ``+`` for ``-``, ``&`` for ``|``, ``<`` for ``<=``, ``==`` for ``!=``, `and` for `or`,
          a lost ``~``, `not` or minus
constant  an integer one too large or too small, `True` for `False`, another state as the next one
condition one of ``m.If``, ``m.Elif`` or Python's `if` that is inverted or always (never) taken;
          exchanged alternatives of a ``Mux`` or an `if` expression
register  a missing register: all its clocked assignments become combinational
========= ======================================================================================

Excluded, as faults there do not change the function of the hardware:

- docstrings, annotations, imports, ``__all__``, decorators, assertions, messages, names of signals
- values of enumerations that are internal to the hardware (members of classes derived from
``Enum``) - wider signals than needed; those with a bit less are faults - ``<`` for ``<=`` where
``Mux`` chooses between the two compared values - ``reset_less``: whether data registers have a
reset besides - depths of queues (keywords ``depth``, ``dma_depth`` and module constants used for
nothing else)
  and what memory they are made of (``block``): they change when, not what
- registers that would feed their own input, or that are assigned in more places than one function
  or class: no tool takes these
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from penstock.sim.mutation.missing_registers import registers
from penstock.sim.mutation.mutant import Edit, Site, Source, called, one_line, opens

__all__ = ["sites"]

_BINARY = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "&",
}
_COMPARE = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}

_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)

# Keywords of calls that have no effect on function, or only on timing.
_IDLE_KEYWORDS = {"name", "reset_less", "src_loc_at", "depth", "dma_depth", "block"}
_DEPTHS = {"depth", "dma_depth"}
# Calls whose first argument is a shape.
_SHAPED = {"Signal", "In", "Out", "signed", "unsigned"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def sites(path: Path, root: Path) -> list[Site]:
    """All sites of a module, in the order of its text."""
    source = Source(path.read_text(encoding="utf-8"))
    name = path.relative_to(root).as_posix()
    found = [*_Finder(source, name).walk(source.tree), *registers(source, name)]
    return sorted(found, key=lambda site: (site.line, site.edits[0][0].start, site.kind))


class _Finder:
    """Finds the sites of one module."""

    def __init__(self, source: Source, name: str) -> None:
        self.name = name
        self.source = source
        self.tree = source.tree
        self._text = source.of
        self._depths = _depth_constants(self.tree)
        self._bounds = _bounds(self.tree)

    def _site(self, node: ast.expr, kind: str, *after: str, shown: ast.AST | None = None) -> Site:
        """A site whose faults replace the text of `node`."""
        start, end = self.source.span(node)
        outer = node if shown is None else shown
        first, last = self.source.span(outer)
        raw = self.source.raw
        texts = [(raw[first:start] + text.encode() + raw[end:last]).decode() for text in after]
        return Site(
            path=self.name,
            line=node.lineno,
            kind=kind,
            before=one_line(self._text(outer)),
            after=tuple(one_line(text) for text in texts),
            edits=tuple((Edit(start, end, text),) for text in after),
        )

    def walk(self, node: ast.AST, *, shape: bool = False) -> Iterator[Site]:
        """Sites at and below `node`; `shape`: it says how wide something is."""
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert | ast.JoinedStr):
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from self.walk(node.value)
            return
        if isinstance(node, ast.Assign):
            yield from self._assign(node)
            return
        if isinstance(node, ast.ClassDef) and _is_enumeration(node):
            return
        if isinstance(node, _Function):
            yield from self._function(node)
            return
        if isinstance(node, ast.expr):
            yield from self._here(node, shape)
        if isinstance(node, ast.If | ast.While):
            test = self._text(node.test)
            yield self._site(node.test, "condition", f"not ({test})")
        if isinstance(node, ast.Call):
            yield from self._call(node, shape)
            return
        if isinstance(node, ast.Subscript) and _is_submodule(node):
            return
        for child in ast.iter_child_nodes(node):
            yield from self.walk(child, shape=shape)

    def _assign(self, node: ast.Assign) -> Iterator[Site]:
        target = node.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        if name == "__all__" or name in self._depths:
            return
        if isinstance(target, ast.Attribute) and target.attr == "next":
            yield from self._next(node)
            return
        for child in (*node.targets, node.value):
            yield from self.walk(child, shape=name.endswith("_BITS"))

    def _next(self, node: ast.Assign) -> Iterator[Site]:
        """``m.next = "state"``: any other state of the machine."""
        assert isinstance(node.value, ast.Constant)
        for machine in ast.walk(self.tree):
            inside = list(ast.walk(machine)) if opens(machine, "FSM") else []
            if node in inside:
                states = {
                    str(item.args[0].value)
                    for item in inside
                    if isinstance(item, ast.Call)
                    and called(item) == "State"
                    and isinstance(item.args[0], ast.Constant)
                }
                others = sorted(state for state in states if state != node.value.value)
                if others:
                    yield self._site(
                        node.value, "constant", *(f'"{other}"' for other in others), shown=node
                    )

    def _function(self, node: _Function) -> Iterator[Site]:
        names = node.args.posonlyargs + node.args.args
        given = list(zip(names[len(names) - len(node.args.defaults) :], node.args.defaults))
        given += [
            (name, default)
            for name, default in zip(node.args.kwonlyargs, node.args.kw_defaults)
            if default is not None
        ]
        for name, default in given:
            if name.arg not in _IDLE_KEYWORDS:
                yield from self.walk(default)
        for child in node.body:
            yield from self.walk(child)

    def _call(self, node: ast.Call, shape: bool) -> Iterator[Site]:
        name = called(node)
        if shape and name == "range":
            yield self._narrower(node)
            return
        if name in ("If", "Elif"):
            test = self._text(node.args[0])
            yield self._site(node.args[0], "condition", f"({test}) == 0", "1", "0", shown=node)
        if name == "Mux" and len(node.args) == 3:
            choice, yes, no = (self._text(argument) for argument in node.args)
            if yes != no:
                yield self._site(node, "condition", f"Mux({choice}, {no}, {yes})")
        yield from self.walk(node.func, shape=shape)
        for index, argument in enumerate(node.args):
            if name in ("State", "FSM"):
                continue
            wide = shape or (name in _SHAPED and index == 0)
            if name == "StructLayout" and isinstance(argument, ast.Dict):
                wide = True
            yield from self.walk(argument, shape=wide)
        for keyword in node.keywords:
            if keyword.arg not in _IDLE_KEYWORDS:
                yield from self.walk(keyword.value, shape=shape and keyword.arg is None)

    def _narrower(self, node: ast.Call) -> Site:
        """``range(...)`` as a shape: about half the values, so one bit less."""
        *start, end = (self._text(argument) for argument in node.args)
        return self._site(node, "constant", f"range({', '.join([*start, f'({end}) // 2'])})")

    def _here(self, node: ast.expr, shape: bool) -> Iterator[Site]:
        """Faults of `node` itself, if it is an operator or a constant."""
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield self._site(node, "constant", str(not node.value))
            elif isinstance(node.value, int):
                less, more = str(node.value - 1), str(node.value + 1)
                if shape:
                    yield self._site(node, "constant", less)
                else:
                    yield self._site(node, "constant", *([less, more] if node.value else [more]))
        elif isinstance(node, ast.BinOp):
            yield from self._binary(node, shape)
        elif isinstance(node, ast.UnaryOp):
            inner = f"({self._text(node.operand)})"
            if not isinstance(node.op, ast.UAdd):
                yield self._site(node, "operator", inner)
        elif isinstance(node, ast.Compare) and node not in self._bounds:
            sides = [self._text(side) for side in (node.left, *node.comparators)]
            text = f"{sides[0]} {_COMPARE[type(node.ops[0])]} {sides[1]}"
            for operator, side in zip(node.ops[1:], sides[2:]):
                text += f" {_symbol(operator)} {side}"
            yield self._site(node, "operator", text)
        elif isinstance(node, ast.BoolOp):
            other = " or " if isinstance(node.op, ast.And) else " and "
            parts = [f"({self._text(value)})" for value in node.values]
            yield self._site(node, "operator", f"({other.join(parts)})")
        elif isinstance(node, ast.IfExp):
            test, yes, no = (self._text(n) for n in (node.test, node.body, node.orelse))
            if yes != no:
                yield self._site(node, "condition", f"({no} if {test} else {yes})")

    def _binary(self, node: ast.BinOp, shape: bool) -> Iterator[Site]:
        kind = type(node.op)
        sequences = (ast.List, ast.ListComp, ast.Tuple, ast.Dict, ast.JoinedStr)
        if kind not in _BINARY or isinstance(node.left, sequences):
            return
        if isinstance(node.right, sequences):
            return
        # Of a shape, only faults that make it narrower.
        if shape and kind not in (ast.Add, ast.Mult):
            return
        left, right = self._text(node.left), self._text(node.right)
        yield self._site(node, "operator", f"(({left}) {_BINARY[kind]} ({right}))")


def _is_enumeration(node: ast.ClassDef) -> bool:
    return any("Enum" in ast.unparse(base) for base in node.bases)


def _is_submodule(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Attribute) and node.value.attr == "submodules"


def _depth_constants(tree: ast.Module) -> set[str]:
    """Module constants that are used for depths of queues and for nothing else."""
    all_uses: dict[str, int] = {}
    as_depth: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            all_uses[node.id] = all_uses.get(node.id, 0) + 1
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg in _DEPTHS]
        elif isinstance(node, ast.arguments):
            names = zip(node.kwonlyargs, node.kw_defaults)
            given = [value for name, value in names if value is not None and name.arg in _DEPTHS]
        for value in given:
            if isinstance(value, ast.Name):
                as_depth[value.id] = as_depth.get(value.id, 0) + 1
    return {name for name, count in as_depth.items() if all_uses[name] == count}


def _bounds(tree: ast.Module) -> set[ast.Compare]:
    """Comparisons as in ``Mux(a < b, a, b)``, where both results are the same if a equals b."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) == "Mux" and len(node.args) == 3:
            test, *values = node.args
            chosen = sorted(ast.unparse(value) for value in values)
            for part in ast.walk(test):
                if isinstance(part, ast.Compare) and isinstance(part.ops[0], _ORDERED):
                    sides = (part.left, *part.comparators)
                    if sorted(ast.unparse(side) for side in sides) == chosen:
                        found.add(part)
    return found


def _symbol(operator: ast.cmpop) -> str:
    compare = ast.Compare(ast.Name("a"), [operator], [ast.Name("b")])
    return ast.unparse(compare)[2:-2]
