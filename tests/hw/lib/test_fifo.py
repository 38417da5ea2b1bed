# amaranth: UnusedElaboratable=no
"""FIFOs: order, throughput and level, with random stalls on both sides."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.lib.fifo import Fifo
from tests.support.hwsim import collect, drive, run


@pytest.mark.parametrize("bits", [16, 130])
@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_fifo_keeps_order(depth: int, block: bool, bits: int) -> None:
    rng = random.Random(depth)
    dut = Fifo(shape=bits, depth=depth, block=block)
    items = [rng.getrandbits(bits) for _ in range(100)]
    got: list[int] = []
    levels: list[int] = []

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, items, rng=rng)

    async def sink(ctx: Any) -> None:
        got.extend(await collect(ctx, dut.o, 50, rng=rng, stall=0.7))
        levels.append(ctx.get(dut.level))
        got.extend(await collect(ctx, dut.o, 50, rng=rng, stall=0.1))
        levels.append(ctx.get(dut.level))

    run(dut, source, sink)
    assert got == items
    assert depth <= levels[0] <= depth + 2
    assert levels[1] == 0


@pytest.mark.parametrize(("depth", "block"), [(1, False), (2, False), (3, True)])
def test_fifo_passes_a_payload_every_cycle(depth: int, block: bool) -> None:
    rng = random.Random(1)
    dut = Fifo(shape=8, depth=depth, block=block)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, [k % 256 for k in range(200)], rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        assert await collect(ctx, dut.o, 200, rng=rng, stall=0) == [k % 256 for k in range(200)]

    run(dut, source, sink, cycles=206)


def test_wrong_depth() -> None:
    with pytest.raises(ValueError, match="depth must be a positive integer, not 0"):
        Fifo(shape=8, depth=0)
