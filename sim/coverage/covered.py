"""The core with branch coverage: a sticky bit for each branch that was taken.

A branch is a case of an ``m.If``, ``m.Switch`` or ``m.FSM`` (a state), or the implicit else of an
``m.If`` without ``m.Else``.  It is taken if its condition holds at a clock edge in any instance of
the block.  Cases are identified by their place in the source: one in a loop is one branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth import Cat, Elaboratable, Module, Signal
from amaranth.hdl import Fragment
from amaranth.hdl._ast import Switch
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.core.accel import Accel
from penstock.models.spec.arch import Arch

__all__ = ["Branch", "CoveredAccel", "branches_of"]

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, order=True)
class Branch:
    """A branch of a block.

    Attributes
    ----------
    path : str
        Of the module, relative to the root of the tree.
    line : int
        Line of its condition.
    past : bool
        It is the implicit else: none of the conditions that begin here holds.
    """

    path: str
    line: int
    past: bool


# For each branch, the sticky signals, and the signals that are 1 while it is taken.
_Marks = dict[Branch, tuple[list[Signal], list[Signal]]]


def branches_of(arch: Arch) -> tuple[Branch, ...]:
    """The branches of an arch's core, in the order of `CoveredAccel.branches`."""
    component = CoveredAccel(arch=arch)
    Fragment.get(component, None)  # an unused elaboratable would warn
    return component.order


class CoveredAccel(wiring.Component):
    """`hw.core.accel.Accel` with its branch coverage.

    Parameters
    ----------
    arch : Arch

    Members
    -------
    As those of `Accel`, and:

    branches : Out
        A bit for each branch, set once it was taken.  Only the start of the simulation clears it.

    Attributes
    ----------
    order : tuple of Branch
        The branch of each bit, from bit 0.
    """

    def __init__(self, *, arch: Arch) -> None:
        self._accel = Accel(arch=arch)
        self._core = Fragment.get(self._accel, None)
        self._marks: _Marks = {}
        _mark_fragment(self._core, self._marks)
        self.order = tuple(sorted(self._marks))
        members = dict(self._accel.signature.members.items())
        super().__init__({**members, "branches": Out(len(self.order))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = _Elaborated(self._core)
        for name, member in self._accel.signature.members.items():
            inner = getattr(self._accel, name)
            if not member.is_port:
                connect(m, flipped(getattr(self, name)), inner)
            elif member.flow is Out:
                m.d.comb += getattr(self, name).eq(inner)
            else:
                assert member.flow is In
                m.d.comb += inner.eq(getattr(self, name))
        for index, branch in enumerate(self.order):
            staying, passing = self._marks[branch]
            past = Signal(name=f"past_{index}", reset_less=True)
            with m.If(Cat(passing).any()):
                m.d.sync += past.eq(1)
            m.d.comb += self.branches[index].eq(Cat(past, staying).any())
        return m


class _Elaborated(Elaboratable):
    """Wraps a fragment where an elaboratable is required."""

    def __init__(self, fragment: Fragment) -> None:
        self._fragment = fragment

    def elaborate(self, platform: object) -> Fragment:
        return self._fragment


def _mark_fragment(fragment: Fragment, marks: _Marks) -> None:
    for domain, statements in fragment.statements.items():
        marked = _marked(statements, domain, marks)
        statements.clear()
        statements.extend(marked)
    for inner, *_ in fragment.subfragments:
        _mark_fragment(inner, marks)


def _marked(statements: Iterable[Any], domain: str, marks: _Marks) -> list[Any]:
    """`statements`, with an assignment to a signal of its own added to each case."""
    result = []
    for statement in statements:
        if isinstance(statement, Switch):
            cases = [
                (
                    patterns,
                    [*_mark(place, False, domain, marks), *_marked(body, domain, marks)],
                    place,
                )
                for patterns, body, place in statement.cases
            ]
            if _is_chain(statement):
                place = statement.src_loc
                cases.append((None, _mark(place, True, domain, marks), place))
            statement = Switch(statement.test, cases, src_loc=statement.src_loc)
        result.append(statement)
    return result


def _mark(place: tuple[str, int] | None, past: bool, domain: str, marks: _Marks) -> list[Any]:
    """The assignment that marks a branch as taken; none for branches outside of our sources."""
    if place is None or not Path(place[0]).is_relative_to(_ROOT / "hw"):
        return []
    path = Path(place[0])
    branch = Branch(path.relative_to(_ROOT).as_posix(), place[1], past)
    staying, passing = marks.setdefault(branch, ([], []))
    mark = Signal(name=f"{path.stem}_{place[1]}", reset_less=domain != "comb")
    (passing if domain == "comb" else staying).append(mark)
    return [mark.eq(1)]


def _is_chain(statement: Switch) -> bool:
    """Whether this is an ``m.If`` with its ``m.Elif``, and without ``m.Else``."""
    width = len(statement.test)
    patterns = [patterns for patterns, *_ in statement.cases]
    chain = [(("1" + "-" * index).rjust(width, "-"),) for index in range(width)]
    return patterns == chain
