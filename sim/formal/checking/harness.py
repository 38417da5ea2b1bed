"""Proof harness: a design with unconstrained inputs, and claims about it.

A claim is an expression that must be true in every cycle.  The first cycle is the one after a
reset: memories and registers without a reset start with arbitrary contents, so a proof holds after
every reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amaranth import Cat, ClockDomain, Const, Elaboratable, Module, Signal, Value
from amaranth.back import rtlil
from amaranth.hdl import Fragment, ShapeLike, ValueLike
from amaranth.lib.wiring import In

__all__ = ["ARBITRARY", "Harness", "to_rtlil"]

# First line of the text of a design whose memories start with arbitrary contents.
ARBITRARY = "# arbitrary\n"


class Harness:
    """One design under proof, the assumptions about its environment, and the claims.

    Parameters
    ----------
    arbitrary : bool
        Whether memories and registers without a reset start with arbitrary contents; otherwise,
        with those after configuration of the FPGA.

    Attributes
    ----------
    m : Module
        Module for the design and the logic that observes it.
    claims, covers : dict of str to Signal
        Conditions passed to `claim` and `cover`, by name.
    """

    def __init__(self, *, arbitrary: bool = True) -> None:
        self.m = Module()
        self.arbitrary = arbitrary
        self.claims: dict[str, Value] = {}
        self.covers: dict[str, Value] = {}
        self.assumptions: list[Value] = []
        self.inputs: list[Signal] = []

    def free(self, shape: ShapeLike, name: str) -> Any:
        """Return an input that may have any value in each cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal if isinstance(signal, Signal) else signal.as_value())
        return signal

    def rigid(self, shape: ShapeLike, name: str) -> Any:
        """Return an arbitrary constant value."""
        signal = Signal(shape, name=name, reset_less=True)
        self.m.d.sync += signal.eq(signal)
        return signal

    def assume(self, condition: ValueLike) -> None:
        """Assume `condition`: consider only traces in which it was true in each cycle so far."""
        self.assumptions.append(Value.cast(condition).bool())

    def claim(self, name: str, condition: ValueLike) -> None:
        """Claim that `condition` is true in every cycle."""
        if name in self.claims:
            raise ValueError(f"there are two claims called {name!r}")
        self.claims[name] = Value.cast(condition).bool()

    def cover(self, name: str, condition: ValueLike) -> None:
        """Claim that `condition` can become true, so that the proof is not vacuous."""
        if name in self.covers:
            raise ValueError(f"there are two covers called {name!r}")
        self.covers[name] = Value.cast(condition).bool()

    def free_inputs(self, interface: Any) -> None:
        """Make all inputs of a component unconstrained."""
        for path, member, value in interface.signature.flatten(interface):
            if member.flow == In:
                target = Value.cast(value)
                free = self.free(len(target), "_".join(str(key) for key in path))
                self.m.d.comb += target.eq(free)


class _Top(Elaboratable):
    """The harness's logic, with claims and covers as ports."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.domain = ClockDomain("sync", reset_less=True)
        self.violated = Signal(max(len(harness.claims), 1))
        self.covered = Signal(max(len(harness.covers), 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = self.domain
        m.submodules.world = self.harness.m
        held = Signal(init=1)  # all assumptions so far
        holds = Signal()
        m.d.sync += held.eq(holds)
        m.d.comb += [
            holds.eq(held & Cat(Const(1), *self.harness.assumptions).all()),
            self.violated.eq(Cat(holds & ~claim for claim in self.harness.claims.values())),
            self.covered.eq(Cat(holds & cover for cover in self.harness.covers.values())),
        ]
        return m


def _registers(fragment: Fragment) -> Iterator[Signal]:
    """The registers of a fragment and of its submodules."""
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            for statement in statements:
                yield from statement._lhs_signals()
    for subfragment, *_ in fragment.subfragments:
        yield from _registers(subfragment)


def to_rtlil(harness: Harness) -> str:
    """Text of module `top`: outputs `violated` and `covered`, a bit for each claim and cover.

    Registers without a reset have the attribute `arbitrary`.
    """
    top = _Top(harness)
    fragment = Fragment.get(top, None)
    for signal in _registers(fragment):
        if signal.reset_less and harness.arbitrary:
            signal.attrs["arbitrary"] = 1
    ports = [top.domain.clk, *harness.inputs, top.violated, top.covered]
    text = rtlil.convert(fragment, name="top", ports=ports, emit_src=False)
    return ARBITRARY + text if harness.arbitrary else text
