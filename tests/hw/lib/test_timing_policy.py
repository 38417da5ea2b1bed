# amaranth: UnusedElaboratable=no
"""Timing policies: different cells, equal behaviour in every cycle."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth import Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.array.psum import PartialSums
from penstock.hw.core.counters import Counters
from penstock.hw.core.layer_log import LayerLog
from penstock.hw.core.run_control import Control
from penstock.hw.engines.load import LoadEngine
from penstock.hw.engines.requant import Requantise
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.register_slice import RegisterSlice
from penstock.hw.lib.split_counter import counted
from penstock.hw.lib.timing_policy import FAST, SMALL, TimingPolicy, policy_of
from penstock.models.spec.arch import get_arch
from tests.support.hwsim import run


class Count(wiring.Component):
    """A count of 20 bits, its steps up to 15 bits wide."""

    def __init__(self) -> None:
        super().__init__({"more": In(15), "count": Out(20)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.count.eq(
            counted(m, self.more, bits=20, name="count", timing=policy_of(platform))
        )
        return m


BLOCKS: dict[str, Callable[[], Any]] = {
    "count": Count,
    "counters": lambda: Counters(bits=18),
    "control": Control,
    "fifo": lambda: Fifo(shape=100, depth=4),
    "layer log": lambda: LayerLog(entries=4),
    "load": lambda: LoadEngine(arch=get_arch("tiny")),
    "partial sums": lambda: PartialSums(rows=4, cols=3, words=8),
    "register slice": lambda: RegisterSlice(shape=100),
    "requantise": Requantise,
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_do_the_same_in_every_cycle(name: str) -> None:
    print("seed 1")
    rng = random.Random(1)
    make = BLOCKS[name]
    fast, small = make(), make()
    m = Module()
    m.submodules.fast, m.submodules.small = FAST(fast), SMALL(small)
    inputs, outputs = [], []
    for path, member, value in fast.signature.flatten(fast):
        other: Any = small
        for key in path:
            other = other[key] if isinstance(key, int) else getattr(other, key)
        pair = Value.cast(value), Value.cast(other)
        (inputs if member.flow == In else outputs).append((path, pair))

    async def process(ctx: Any) -> None:
        for cycle in range(1500):
            # Long waits as well, so that counts come to their carries.
            dense = cycle // 100 % 2
            for path, pair in inputs:
                number = rng.getrandbits(len(pair[0]))
                if path[-1] in ("clear", "reset", "start") and cycle > 1:
                    number &= rng.random() < 0.02
                elif dense and len(pair[0]) == 1:
                    number = 1
                for value in pair:
                    ctx.set(value, number)
            for path, pair in outputs:
                first, second = (ctx.get(value) for value in pair)
                assert first == second, f"cycle {cycle}: {path}"
            await ctx.tick()

    run(m, process, cycles=2000)


def test_a_policy_reaches_what_is_inside() -> None:
    seen = []

    class Inner(Elaboratable):
        def elaborate(self, platform: object) -> Module:
            seen.append(policy_of(platform))
            return Module()

    class Outer(Elaboratable):
        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.inner = Inner()
            return m

    for top in (SMALL(Outer()), FAST(Outer()), Outer()):
        m = Module()
        m.submodules.top = top
        m.d.sync += Signal().eq(1)

        async def nothing(ctx: Any) -> None:
            await ctx.tick()

        run(m, nothing)
    assert seen == [SMALL, FAST, FAST]


@pytest.mark.parametrize(("policy", "kept"), [(FAST, {"keep": 1}), (SMALL, {})])
def test_duplicates_are_kept_where_they_are_wanted(
    policy: TimingPolicy, kept: dict[str, int]
) -> None:
    assert policy.duplicate(4, name="copy", init=3).attrs == kept
