"""`hw.lib.split_sum`: sums are the same in halves and in one piece."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.split_sum import SplitSum, SplitTotal
from penstock.hw.lib.timing_policy import FAST, SMALL, TimingPolicy
from tests.support.hwsim import run

BITS = 29


class _Sum(wiring.Component):
    def __init__(self, *, timing: TimingPolicy) -> None:
        self.timing = timing
        super().__init__(
            {"a": In(BITS), "b": In(BITS), "add": In(1), "round": In(1), "value": Out(BITS)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = SplitSum(m, BITS, name="n", timing=self.timing)
        with m.If(self.add):
            total.add(self.a, self.b)
        with m.Elif(self.round):
            total.round_up(4)
        m.d.comb += self.value.eq(total.value)
        return m


@pytest.mark.parametrize("timing", [FAST, SMALL])
def test_sum(timing: TimingPolicy) -> None:
    dut = _Sum(timing=timing)
    rng = random.Random(1)

    async def process(ctx: Any) -> None:
        for _ in range(200):
            # Lower halves that carry, and such that rounding up carries.
            a, b = (rng.choice((0x1FFF, 0x1FF0, 1, rng.getrandbits(BITS))) for _ in "ab")
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            ctx.set(dut.add, 1)
            await ctx.tick()
            want = (a + b) % (1 << BITS)
            ctx.set(dut.add, 0)
            ctx.set(dut.round, 1)
            for _ in range(3):
                assert ctx.get(dut.value) == want
                await ctx.tick()
                want = ((want >> 4) + 1 << 4) % (1 << BITS)
            ctx.set(dut.round, 0)

    run(dut, process, cycles=2000)


class _Total(wiring.Component):
    def __init__(self, *, timing: TimingPolicy) -> None:
        self.timing = timing
        super().__init__({"start": In(32), "load": In(1), "add": In(1), "value": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = SplitTotal(m, 32, name="n", timing=self.timing)
        with m.If(self.load):
            total.load(self.start)
        with m.Elif(self.add):
            total.add(64)
        m.d.comb += self.value.eq(total.value)
        return m


@pytest.mark.parametrize("timing", [FAST, SMALL])
def test_total(timing: TimingPolicy) -> None:
    dut = _Total(timing=timing)
    rng = random.Random(2)

    async def process(ctx: Any) -> None:
        for _ in range(20):
            want = rng.getrandbits(16) << 16 | rng.choice((0xFFC0, 0xFF80, 0))
            ctx.set(dut.start, want)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            for _ in range(5):
                await ctx.tick()
                assert ctx.get(dut.value) == want
                ctx.set(dut.add, 1)
                await ctx.tick()
                ctx.set(dut.add, 0)
                want = (want + 64) % (1 << 32)
            await ctx.tick()

    run(dut, process, cycles=2000)
