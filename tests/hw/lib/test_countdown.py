"""`hw.lib.countdown`: the flag is the comparison, in every cycle."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.countdown import Countdown
from tests.support.hwsim import run


class _Dut(wiring.Component):
    def __init__(self, *, end: int) -> None:
        self.end = end
        super().__init__(
            {"load": In(1), "count": In(6), "step": In(1), "left": Out(6), "last": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        countdown = Countdown(m, 6, name="n", end=self.end)
        with m.If(self.load):
            countdown.load(self.count)
        with m.Elif(self.step):
            countdown.step()
        m.d.comb += [self.left.eq(countdown.left), self.last.eq(countdown.last)]
        return m


@pytest.mark.parametrize("end", [0, 1])
def test_countdown(end: int) -> None:
    dut = _Dut(end=end)
    rng = random.Random(end)

    async def process(ctx: Any) -> None:
        for _ in range(60):
            left = rng.choice((end, end + 1, end + 2, rng.randint(end, 63)))
            ctx.set(dut.load, 1)
            ctx.set(dut.count, left)
            await ctx.tick()
            ctx.set(dut.load, 0)
            while True:
                assert ctx.get(dut.left) == left
                assert ctx.get(dut.last) == (left == end)
                if left == end:
                    break
                step = rng.random() < 0.7
                ctx.set(dut.step, step)
                await ctx.tick()
                left -= step
            ctx.set(dut.step, 0)

    run(dut, process, cycles=10_000)
