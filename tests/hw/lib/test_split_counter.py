# amaranth: UnusedElaboratable=no
"""`hw.lib.split_counter`: long counts."""

from __future__ import annotations

import random

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from penstock.hw.lib.split_counter import COUNT_LATENCY, counted, counted_down
from penstock.hw.lib.timing_policy import FAST, SMALL, TimingPolicy


class _Dut(wiring.Component):
    def __init__(self, *, bits: int, more_bits: int, clears: bool) -> None:
        self.bits = bits
        self.clears = clears
        super().__init__({"more": In(more_bits), "clear": In(1), "count": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clear = self.clear if self.clears else None
        m.d.comb += self.count.eq(counted(m, self.more, bits=self.bits, name="n", clear=clear))
        return m


@pytest.mark.parametrize("clears", [False, True])
@pytest.mark.parametrize(("bits", "more_bits"), [(32, 16), (17, 16), (16, 12), (20, 1), (5, 3)])
def test_count(bits: int, more_bits: int, clears: bool) -> None:
    """The count is the sum of all steps up to `COUNT_LATENCY` cycles ago, in every cycle."""
    dut = _Dut(bits=bits, more_bits=more_bits, clears=clears)
    rng = random.Random(1)
    carries = 0

    async def bench(ctx) -> None:
        nonlocal carries
        total = 0
        ctx.set(dut.clear, 1)
        await ctx.tick()
        sums = [0] * COUNT_LATENCY
        for cycle in range(600):
            clear = rng.random() < 0.01
            more = rng.choice((0, 1, (1 << more_bits) - 1, rng.getrandbits(more_bits)))
            ctx.set(dut.clear, clear)
            ctx.set(dut.more, more)
            if cycle >= COUNT_LATENCY:
                assert ctx.get(dut.count) == sums[-COUNT_LATENCY], cycle
            carries += (total & 0xFFFF) + more > 0xFFFF
            total = 0 if clear and clears else (total + more) % (1 << bits)
            sums.append(total)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert carries > 10 or more_bits < 12


def test_refused() -> None:
    m = Module()
    for bits, more_bits in ((0, 1), (32, 17)):
        with pytest.raises(ValueError, match="cannot count"):
            counted(m, Signal(more_bits), bits=bits, name="n")


class _Down(wiring.Component):
    def __init__(self, *, timing: TimingPolicy) -> None:
        self.timing = timing
        super().__init__({"take": In(1), "value": In(12), "step": In(1), "last": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = counted_down(
            m,
            take=self.take,
            value=self.value,
            step=self.step,
            name="n",
            timing=self.timing,
        )
        m.d.comb += self.last.eq(last)
        return m


@pytest.mark.parametrize("timing", [FAST, SMALL])
@pytest.mark.parametrize("often", [0.5, 1.0])
def test_count_down(often: float, timing: TimingPolicy) -> None:
    """`last` is 1 while one step is left, for any count and order of steps."""
    dut = _Down(timing=timing)
    rng = random.Random(2)
    values = [1, 2, 3, 255, 256, 257, 258, 511, 512, 513, 514, *(rng.randint(1, 700) for _ in "ab")]

    async def bench(ctx) -> None:
        for value in values:
            ctx.set(dut.take, 1)
            ctx.set(dut.value, value)
            ctx.set(dut.step, rng.random() < often)
            await ctx.tick()
            ctx.set(dut.take, 0)
            for left in range(value, 0, -1):
                while rng.random() > often:
                    ctx.set(dut.step, 0)
                    await ctx.tick()
                    assert ctx.get(dut.last) == (left == 1), (value, left)
                ctx.set(dut.step, 1)
                assert ctx.get(dut.last) == (left == 1), (value, left)
                if left > 1:
                    await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
