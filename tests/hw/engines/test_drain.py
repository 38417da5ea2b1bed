# amaranth: UnusedElaboratable=no
"""The DRAIN engine against the requantisation of `models.golden.fixed`."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth import Module, Mux, Signal

from penstock.hw.array.psum import PartialSums
from penstock.hw.engines.drain import DrainEngine, ParameterMemory
from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.lib.delay import delayed
from penstock.models.golden.fixed import pack_params, requantise
from penstock.models.spec.isa import ENGINE_WAITS, Op
from tests.support.engines import small_arch
from tests.support.hwsim import drive, run


@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "seed"),
    [(4, 4, 2, 1), (4, 8, 4, 2), (6, 4, 2, 3), (4, 4, 4, 4), (8, 4, 1, 5)],
)
def test_drain(rows: int, cols: int, lanes: int, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    nrng = np.random.default_rng(seed)
    arch = small_arch(rows, cols, drain_lanes=lanes, lrn_lanes=0)
    tiles = 4
    sums = nrng.integers(-(1 << 20), 1 << 20, (tiles, arch.psum_words, cols))
    bias = nrng.integers(-(1 << 18), 1 << 18, (tiles, cols))
    multiplier = nrng.integers(0, 1 << 17, (tiles, cols))
    shift = nrng.integers(20, 32, (tiles, cols))
    descriptors = [
        {
            "op": int(Op.DRAIN),
            **{f"wait_{op.name.lower()}": 0 for op in ENGINE_WAITS[Op.DRAIN]},
            "base": rng.randrange(64),
            "offset": rng.randrange(rows // lanes) * lanes,
            "lane_groups": rng.randint(1, cols // lanes),
            "plane_step": rng.randint(16, 20),
            "count": rng.randint(1, arch.psum_words),
        }
        for _ in range(tiles)
    ]

    # A partial-sum memory that holds tile t in bank t % 2 of column memories.
    m = Module()
    m.submodules.dut = dut = DrainEngine(arch=arch)
    bank = Signal()
    columns = []
    # Address and data are registered, as in `hw.array.psum`.
    later = PartialSums.READ_LATENCY - READ_LATENCY - 1
    p_en, p_bank, p_addr = (
        delayed(m, port, 1) for port in (dut.psums.en, dut.psums.addr.bank, dut.psums.addr.word)
    )
    for c in range(cols):
        pair = [Buffer(depth=arch.psum_words * tiles, width=32) for _ in range(2)]
        tile = Signal(range(tiles), name=f"tile_{c}")
        for b, memory in enumerate(pair):
            m.submodules[f"memory_{c}_{b}"] = memory
            m.d.comb += [
                memory.r.en.eq(p_en & (p_bank == b)),
                memory.r.addr.eq(p_addr + (tile << 4)),
            ]
        with m.If(dut.done):
            m.d.sync += tile.eq(tile + 1)
        read = Mux(bank, pair[1].r.data, pair[0].r.data)
        m.d.comb += dut.psums.data[c].eq(delayed(m, read, later))
        columns.append(pair)
    # The bank of the current data, as in `hw.array.psum`.
    early = Signal()
    with m.If(p_en):
        m.d.sync += early.eq(p_bank)
    m.d.sync += bank.eq(early)

    memory_after = np.zeros((arch.out_words, rows), np.int64)
    loaded = done = 0

    async def load(ctx):
        nonlocal loaded
        for address in range(tiles * arch.psum_words):
            t, position = divmod(address, arch.psum_words)
            for c, pair in enumerate(columns):
                memory = pair[t % 2]
                ctx.set(memory.w.en, 1)
                ctx.set(memory.w.addr, address)
                ctx.set(memory.w.data, int(sums[t, position, c]) & 0xFFFFFFFF)
            await ctx.tick()
            for pair in columns:
                ctx.set(pair[t % 2].w.en, 0)
        loaded = 1

    async def descriptors_in(ctx):
        await drive(ctx, dut.i, descriptors, rng=rng)

    async def params(ctx):
        words = [
            {
                "index": c,
                "data": int.from_bytes(
                    pack_params(bias[t, c], multiplier[t, c], shift[t, c]), "little"
                ),
            }
            for t in range(tiles)
            for c in range(cols)
        ]
        await drive(ctx, dut.i_params, words, rng=rng, stall=0.1)

    async def fill(ctx):
        while not loaded:
            await ctx.tick()
        await ctx.tick().repeat(4 * cols)
        for index in range(tiles):
            while index - done >= 2:
                await ctx.tick()
            ctx.set(dut.filled, 1)
            await ctx.tick()
            ctx.set(dut.filled, 0)
            await ctx.tick().repeat(3 * cols * 2)

    async def writes(ctx):
        nonlocal done
        while done < tiles:
            _, _, en, addr, data, finished = await ctx.tick().sample(
                dut.out.en, dut.out.addr, dut.out.data, dut.done
            )
            assert not (finished and en), "done comes when the last byte has been written"
            for slot in range(rows // lanes):
                if en >> slot & 1:
                    for lane in range(lanes):
                        byte = slot * lanes + lane
                        memory_after[addr, byte] = data >> 8 * byte & 255
            done += finished

    run(m, load, descriptors_in, params, fill, writes)

    expected = np.zeros_like(memory_after)
    for t, d in enumerate(descriptors):
        y = requantise(sums[t], bias[t], multiplier[t], shift[t])
        for position in range(d["count"]):
            for c in range(d["lane_groups"] * lanes):
                plane, byte = divmod(d["offset"] + c, rows)
                address = (d["base"] + position + plane * d["plane_step"]) % arch.out_words
                expected[address, byte] = y[position, c]
    np.testing.assert_array_equal(memory_after, expected)


def test_lanes_are_checked() -> None:
    with pytest.raises(ValueError, match="lanes must divide cols, not be 3"):
        ParameterMemory(cols=4, lanes=3)
