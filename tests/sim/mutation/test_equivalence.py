"""Proofs of equivalence: cases that are equal, and cases that are not."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from penstock.sim.formal.checking.engine import EngineError
from penstock.sim.mutation.equivalence import Hardware, differences, equal, read


class Inner(wiring.Component):
    """Counts up to 5; the count may be a bit wider, or go on too far."""

    def __init__(self, *, last: int = 5, bits: int = 3, exact: bool = True) -> None:
        self.last = last
        self.exact = exact
        super().__init__({"step": In(1), "count": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        end = self.count == self.last if self.exact else self.count >= self.last
        with m.If(self.step):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(end):
                m.d.sync += self.count.eq(0)
        return m


class Outer(wiring.Component):
    """A count, a memory that it addresses, and a register that nothing reads."""

    def __init__(
        self, *, dead: bool = False, content: int = 1, wide: int = 8, **inner: int
    ) -> None:
        self.dead, self.content, self.wide = dead, content, wide
        self.inner = inner
        super().__init__({"step": In(1), "data": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = Inner(**self.inner)
        m.submodules.memory = memory = Memory(shape=8, depth=8, init=[self.content, 2, 3])
        port = memory.read_port()
        value = Signal(self.wide)
        m.d.comb += [
            inner.step.eq(self.step),
            port.addr.eq(inner.count),
            value.eq(port.data),
            self.data.eq(value),
        ]
        if self.dead:
            m.d.sync += Signal(4, name="dead").eq(inner.count)
        return m


def hardware(**changes: int) -> Hardware:
    return read(rtlil.convert(Outer(**changes), name="top", emit_src=False))


PLAIN = hardware()


def test_modules_and_ports_are_read() -> None:
    assert set(PLAIN) == {r"\top", r"\top.inner"}
    assert PLAIN[r"\top.inner"].ports == {
        r"\clk": (1, "input"),
        r"\rst": (1, "input"),
        r"\step": (1, "input"),
        r"\count": (3, "output"),
    }
    assert differences(PLAIN, hardware()) == {}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"dead": True}, {r"\top": {r"\top"}}),
        # The count never goes past the end.
        ({"exact": False}, {r"\top.inner": {r"\top.inner"}}),
        # A module with a port of another width is compared as part of its parent.
        ({"bits": 4}, {r"\top": {r"\top", r"\top.inner"}}),
    ],
)
def test_equal(changes: dict[str, int], where: dict[str, set[str]]) -> None:
    changed = hardware(**changes)
    assert changed != PLAIN
    assert differences(PLAIN, changed) == where
    assert equal(PLAIN, changed) and equal(changed, PLAIN)


@pytest.mark.parametrize(
    "changes", [{"last": 6}, {"bits": 2}, {"wide": 7}, {"content": 9}, {"last": 6, "bits": 4}]
)
def test_not_equal(changes: dict[str, int]) -> None:
    assert not equal(PLAIN, hardware(**changes))


def test_other_ports_are_no_proof() -> None:

    other = read(
        rtlil.convert(Outer(), name="top", emit_src=False).replace(
            "width 8 output", "width 9 output"
        )
    )
    with pytest.raises(EngineError, match=r"ports of .top differ"):
        equal(PLAIN, other)
