# amaranth: UnusedElaboratable=no
"""The UART: bytes through a wire, clocks that differ, spikes and breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.link.uart import UartReceiver, UartTransmitter
from tests.support.hwsim import drive, run


async def gather(ctx: Any, dut: Any, count: int) -> list[int]:
    """Take the bytes of a receiver."""
    taken: list[int] = []
    while len(taken) < count:
        _, _, strobe, value = await ctx.tick().sample(dut.strobe, dut.o)
        if strobe:
            taken.append(value)
    return taken


async def send(ctx: Any, dut: Any, values: list[int], cycles: float) -> None:
    """Put bytes on the wire; a bit takes `cycles`, which need not be a whole number."""
    now = 0.0
    passed = 0
    for value in values:
        for bit in [0, *(value >> k & 1 for k in range(8)), 1]:
            ctx.set(dut.rx, bit)
            now += cycles
            while passed < round(now):
                await ctx.tick()
                passed += 1


class Loop(wiring.Component):
    """A transmitter's wire into a receiver."""

    def __init__(self, *, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "o": Out(8), "strobe": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        connect(m, flipped(self.i), transmitter.i)
        m.d.comb += [
            receiver.rx.eq(transmitter.tx),
            self.o.eq(receiver.o),
            self.strobe.eq(receiver.strobe),
        ]
        return m


@pytest.mark.parametrize("divisor", [4, 5, 30])
def test_there_and_back(divisor: int) -> None:
    rng = random.Random(divisor)
    values = [0, 255, *rng.randbytes(6)]
    dut = Loop(divisor=divisor)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, values, rng=rng, stall=0.1)

    async def sink(ctx: Any) -> None:
        assert await gather(ctx, dut, len(values)) == values

    run(dut, source, sink)


@pytest.mark.parametrize("skew", [-0.03, 0.03])
def test_the_other_end_may_be_faster_or_slower(skew: float) -> None:
    values = [0, 255, 0x55, 0xAA, 1, 0x80]
    dut = UartReceiver(divisor=30)

    async def source(ctx: Any) -> None:
        await send(ctx, dut, values, 30 * (1 + skew))

    async def sink(ctx: Any) -> None:
        assert await gather(ctx, dut, len(values)) == values

    run(dut, source, sink)


def test_spikes_and_breaks_are_no_bytes() -> None:
    dut = UartReceiver(divisor=8)

    async def source(ctx: Any) -> None:
        ctx.set(dut.rx, 0)
        await ctx.tick().repeat(2)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(100)
        ctx.set(dut.rx, 0)
        await ctx.tick().repeat(200)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(20)
        await send(ctx, dut, [0x5A], 8)

    async def sink(ctx: Any) -> None:
        assert await gather(ctx, dut, 1) == [0x5A]

    run(dut, source, sink)


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
def test_wrong_parameters(kind: type) -> None:
    with pytest.raises(ValueError, match="divisor must be an integer of at least 4, not 3"):
        kind(divisor=3)
