"""Blocks replaced by their proved contracts, for proofs of the blocks built from them."""

from __future__ import annotations

from typing import Any

from amaranth import Module, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.bus.axi import BOUNDARY, MAX_BURST
from penstock.sim.formal.checking.harness import Harness

__all__ = ["AnyBursts", "AnyFifo", "any_fifos", "burst_is_legal"]


class AnyFifo(wiring.Component):
    """Any behaviour at the ports that the contract of `hw.lib.fifo.Fifo` allows.

    It takes payloads while fewer than `depth` are inside, and may take more.  A payload reaches the
    output after any delay, and holds until it is taken; its value is arbitrary.
    """

    def __init__(self, *, harness: Harness, shape: ShapeLike, depth: int) -> None:
        self.depth = depth
        self._late = harness.free(1, "late")
        self._full = harness.free(1, "full")
        self.value = harness.free(shape, "value")
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 3)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        put, got = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        # Ready holds until a payload is put in.
        room = Signal()
        m.d.comb += self.i.ready.eq(
            (self.level < self.depth) | ((self.level < self.depth + 2) & room)
        )
        m.d.sync += room.eq((room & ~put) | ~self._full)
        m.d.sync += self.level.eq(self.level + put - got)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq((self.level - got != 0) & ~self._late),
                self.o.payload.eq(self.value),
            ]
        return m


def any_fifos(h: Harness, made: list[AnyFifo]) -> Any:
    """A replacement of `Fifo`'s constructor; the blocks made are appended to `made`."""

    def make(*, shape: ShapeLike, depth: int, block: bool = False) -> AnyFifo:
        made.append(AnyFifo(harness=h, shape=shape, depth=depth))
        return made[-1]

    return make


class AnyBursts(wiring.Component):
    """Any behaviour at the ports that the contract of `hw.bus.dma.BurstSplitter` allows.

    Its bursts obey `burst_rules`; one is offered at the earliest a cycle after the previous one was
    taken.
    """

    def __init__(self, *, harness: Harness, command: ShapeLike, burst: Any) -> None:
        self._late = harness.free(1, "late")
        self._ready = harness.free(1, "ready")
        self.value = harness.free(burst, "value")
        harness.assume(burst_is_legal(self.value))
        super().__init__(
            {
                "base": In(32),
                "i": In(stream.Signature(command)),
                "o": Out(stream.Signature(burst)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(self._ready)
        with m.If(~self.o.valid):
            m.d.sync += [self.o.valid.eq(~self._late), self.o.payload.eq(self.value)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


def burst_is_legal(burst: Any) -> Value:
    """Whether a burst has 1 to 16 beats of 8 bytes, is aligned, and does not cross 4 KiB."""
    return (
        (burst.beats != 0)
        & (burst.beats <= MAX_BURST)
        & (burst.addr[:3] == 0)
        & (burst.addr[:12] + (burst.beats << 3) <= BOUNDARY)
    )
