# amaranth: UnusedElaboratable=no
"""The WEIGHTS engine: words and parameters in order, prefetched, through the real DMA."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.engines.weights import WeightsEngine
from penstock.models.spec.arch import Arch
from tests.support.engines import BASE, behind_dma, small_arch
from tests.support.hwsim import ReadSlave, collect, drive, run

MEMORY = 8 * 4096


def descriptor_of(arch: Arch, has_params: int, blocks: int, mem: int) -> dict[str, int]:
    beats = has_params * arch.cols + blocks * arch.block_bytes // 8
    return {"has_params": has_params, "blocks": blocks, "mem": mem, "beats": beats}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (8, 6), (4, 12), (12, 16), (4, 32)])
def test_words_and_parameters_in_order(rows: int, cols: int, seed: int) -> None:
    rng = random.Random(100 * cols + seed)
    arch = small_arch(rows, cols)
    m, dma, weights = behind_dma(WeightsEngine(arch=arch, slices=seed == 0))
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dma.bus, memory, rng=rng, latency=10, stall=0.1)
    descriptors, params, words = [], [], []
    for _ in range(10):
        has_params = rng.randrange(2)
        blocks = rng.randint(1 - has_params, 4)
        d = descriptor_of(arch, has_params, blocks, 8 * rng.randrange(800))
        descriptors.append(d)
        start = BASE + d["mem"]
        text = memory[start : start + 8 * d["beats"]]
        for column in range(cols * has_params):
            value = int.from_bytes(text[8 * column : 8 * column + 8], "little")
            params.append({"index": column, "data": value})
        text = text[8 * cols * has_params :]
        words += [int.from_bytes(text[k : k + cols], "little") for k in range(0, len(text), cols)]
    dones = []

    async def source(ctx: Any) -> None:
        await drive(ctx, weights.i, descriptors, rng=rng, stall=0.1)

    async def param_sink(ctx: Any) -> None:
        assert await collect(ctx, weights.params, len(params), rng=rng) == params

    async def word_sink(ctx: Any) -> None:
        assert await collect(ctx, weights.o, len(words), rng=rng) == words

    async def watch(ctx: Any) -> None:
        for _ in descriptors:
            await ctx.tick().until(weights.done)
        dones.append(len(descriptors))

    run(m, source, param_sink, word_sink, watch, background=[slave.process])
    assert dones == [len(descriptors)]


def test_done_comes_when_all_has_been_taken() -> None:
    """Two cycles after the one in which the last parameter is handed over."""
    arch = small_arch(4, 4)
    dut = WeightsEngine(arch=arch)
    seen = []

    async def process(ctx: Any) -> None:
        ctx.set(dut.cmd.ready, 1)
        ctx.set(dut.params.ready, 1)
        await drive(ctx, dut.i, [descriptor_of(arch, 1, 0, 0)], rng=random.Random(1), stall=0)
        ctx.set(dut.data.valid, 1)
        for _ in range(20):
            *_, valid, done = await ctx.tick().sample(dut.params.valid, dut.done)
            seen.append((valid, done))

    run(dut, process)
    first = seen.index((1, 0))
    assert seen[first:] == [(1, 0)] * 4 + [(0, 0), (0, 1)] + [(0, 0)] * (14 - first)


def test_prefetches_and_streams_across_descriptors() -> None:
    rng = random.Random(3)
    arch = small_arch(16, 16)
    m, dma, weights = behind_dma(WeightsEngine(arch=arch))
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dma.bus, memory, rng=rng, latency=40, stall=0)
    descriptors = [descriptor_of(arch, 0, 1, 256 * k) for k in range(16)]

    async def source(ctx: Any) -> None:
        await drive(ctx, weights.i, descriptors, rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        # The FIFO is filled although nothing is taken.
        await ctx.tick().repeat(400)
        assert ctx.get(dma.control.received) >= arch.wgt_words * 2 + 100
        expected = [
            int.from_bytes(memory[k : k + 16], "little") for k in range(BASE, BASE + 4096, 16)
        ]
        assert await collect(ctx, weights.o, 256, rng=rng, stall=0) == expected

    # From the first take on: all beats but those of the words in the FIFO, and 3 cycles a block.
    run(m, source, sink, background=[slave.process], cycles=400 + 512 - 128 + 3 * 16)
