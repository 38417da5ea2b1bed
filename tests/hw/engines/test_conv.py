# amaranth: UnusedElaboratable=no
"""The CONV engine against the loops of the ISA, on small arrays."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth import Module
from amaranth.sim import Simulator

from penstock.hw.array.psum import PartialSums
from penstock.hw.engines.conv import ConvEngine
from penstock.hw.lib.buffer import Buffer
from penstock.models.spec.isa import ENGINE_WAITS, Op
from penstock.sim.bench.im2col import words
from tests.support.engines import small_arch
from tests.support.hwsim import drive, run

BUFFERS = {"act_words": 256, "psum_words": 256}


def random_descriptor(rng: random.Random, *, first: int, last: int, size: int) -> dict[str, int]:
    n_y, n_x = rng.randint(1, 5), size
    values = {
        "first": first,
        "last": last,
        "base": rng.randrange(256),
        "step_cb": rng.randrange(64),
        "step_ky": rng.randrange(32),
        "step_y": rng.randrange(64),
        "n_cb": rng.randint(1, 3),
        "n_ky": rng.randint(1, 3),
        "n_kx": rng.randint(1, 3),
        "n_y": n_y,
        "n_x": n_x,
        "stride_y": rng.randint(1, 4),
        "stride_x": rng.randint(1, 4),
        "y0": rng.randint(-3, 3),
        "x0": rng.randint(-3, 3),
        "in_h": rng.randint(1, 12),
        "in_w": rng.randint(1, 20),
        "pad": rng.randrange(256),
        "more_images": rng.choice((0, 0, 1, 2)),
        "step_image": rng.randrange(256),
    }
    values.update({f"wait_{op.name.lower()}": 0 for op in ENGINE_WAITS[Op.CONV]})
    return values


def reference(act: np.ndarray, blocks: list[np.ndarray], d: dict[str, int]) -> np.ndarray:
    """((1 + more_images) * n_y * n_x, cols) sums of one descriptor."""
    images, n_y, n_x = d["more_images"] + 1, d["n_y"], d["n_x"]
    total = np.zeros((images * n_y * n_x, blocks[0].shape[1]), np.int64)
    block = iter(blocks)
    for cb in range(d["n_cb"]):
        for ky in range(d["n_ky"]):
            for kx in range(d["n_kx"]):
                weights = next(block).astype(np.int64)
                for image, y, x in np.ndindex(images, n_y, n_x):
                    iy = d["y0"] + y * d["stride_y"] + ky
                    ix = d["x0"] + x * d["stride_x"] + kx
                    addr = d["base"] + cb * d["step_cb"] + ky * d["step_ky"] + kx
                    addr += image * d["step_image"] + y * d["step_y"] + x * d["stride_x"]
                    word = act[addr % len(act)].astype(np.int64)
                    if not (0 <= iy < d["in_h"] and 0 <= ix < d["in_w"]):
                        word = np.full_like(word, d["pad"])
                    total[(image * n_y + y) * n_x + x] += word @ weights
    return total


@pytest.mark.parametrize(("rows", "cols", "seed"), [(4, 4, 1), (2, 8, 2), (6, 4, 3)])
def test_conv_engine(rows: int, cols: int, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    nrng = np.random.default_rng(seed)
    arch = small_arch(rows, cols, **BUFFERS)
    act = nrng.integers(0, 256, (arch.act_words, rows), dtype=np.uint8)
    act[rng.randrange(256)] = 255
    tiles = []
    for _ in range(4):
        size = rng.choice((1, 3, 9))
        parts = rng.randint(1, 2)
        descriptors = [
            random_descriptor(rng, first=i == 0, last=i == parts - 1, size=size)
            for i in range(parts)
        ]
        for d in descriptors:
            for name in ("n_y", "more_images"):
                d[name] = descriptors[0][name]
        blocks = [
            [
                nrng.integers(-128, 128, (rows, cols), dtype=np.int8)
                for _ in range(d["n_cb"] * d["n_ky"] * d["n_kx"])
            ]
            for d in descriptors
        ]
        tiles.append((descriptors, blocks))

    m = Module()
    m.submodules.dut = dut = ConvEngine(arch=arch)
    m.submodules.act = buffer = Buffer(depth=arch.act_words, width=rows * 8)
    m.d.comb += [
        buffer.r.en.eq(dut.act.en),
        buffer.r.addr.eq(dut.act.addr),
        dut.act.data.eq(buffer.r.data),
    ]
    loaded = False

    async def load(ctx):
        nonlocal loaded
        ctx.set(buffer.w.en, 1)
        for index, word in enumerate(act):
            ctx.set(buffer.w.addr, index)
            ctx.set(buffer.w.data, int.from_bytes(word.tobytes(), "little"))
            await ctx.tick()
        ctx.set(buffer.w.en, 0)
        loaded = True

    async def descriptors(ctx):
        while not loaded:
            await ctx.tick()
        for parts, _ in tiles:
            for d in parts:
                ctx.set(dut.i.payload, {"op": int(Op.CONV), **d})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
                if rng.random() < 0.3:
                    await ctx.tick().repeat(rng.randint(1, 60))

    async def weights(ctx):
        for _, parts in tiles:
            for blocks in parts:
                for block in blocks:
                    for row in block[::-1]:
                        while rng.random() < 0.1:
                            await ctx.tick()
                        ctx.set(dut.i_wgt.payload, int.from_bytes(row.tobytes(), "little"))
                        ctx.set(dut.i_wgt.valid, 1)
                        await ctx.tick().until(dut.i_wgt.ready)
                        ctx.set(dut.i_wgt.valid, 0)

    filled = reads = 0

    async def count(ctx):
        nonlocal filled, reads
        while True:
            *_, pulse, read = await ctx.tick().sample(dut.filled, dut.act.en)
            filled += pulse
            reads += read and loaded

    async def check(ctx):
        for index, (parts, blocks) in enumerate(tiles):
            for _ in range(20000):
                if filled > index:
                    break
                await ctx.tick()
            assert filled > index, f"tile {index} never finished"
            expected = sum(reference(act, b, d) for d, b in zip(parts, blocks))
            for position, row in enumerate(expected):
                ctx.set(dut.psums.en, 1)
                ctx.set(dut.psums.addr.bank, index % 2)
                ctx.set(dut.psums.addr.word, position)
                await ctx.tick()
                ctx.set(dut.psums.en, 0)
                await ctx.tick().repeat(PartialSums.READ_LATENCY - 1)
                got = [ctx.get(dut.psums.data[c]) for c in range(cols)]
                assert got == row.tolist(), f"tile {index} position {position}"
            ctx.set(dut.freed, 1)
            await ctx.tick()
            ctx.set(dut.freed, 0)
        # One for each word, none for padding.
        issued = [word for parts, _ in tiles for d in parts for word in words(d)]
        assert reads == sum(word.addr is not None for word in issued)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(load)
    simulator.add_testbench(descriptors)
    simulator.add_testbench(weights)
    simulator.add_testbench(count, background=True)
    simulator.add_testbench(check)
    simulator.run()


def test_says_what_it_waits_for() -> None:
    rng = random.Random(7)
    dut = ConvEngine(arch=small_arch(4, 4, **BUFFERS))
    tile = random_descriptor(rng, first=1, last=1, size=5)
    tile.update(n_cb=1, n_ky=1, n_kx=1, n_y=1, more_images=0)
    tiles = 3
    states: list[tuple[int, int, int]] = []
    feeding = False

    async def watch(ctx):
        while True:
            *_, busy, weights, bank = await ctx.tick().sample(
                dut.activity.busy, dut.activity.wait_weights, dut.activity.wait_bank
            )
            states.append((busy, weights, bank))

    async def descriptors(ctx):
        await ctx.tick().repeat(10)
        assert set(states) == {(0, 0, 0)}
        await drive(ctx, dut.i, [{"op": int(Op.CONV), **tile}] * tiles, rng=rng, stall=0)

    async def weights(ctx):
        while not feeding:
            await ctx.tick()
        await drive(ctx, dut.i_wgt, range(4 * tiles), rng=rng, stall=0)

    async def process(ctx):
        nonlocal feeding
        await ctx.tick().repeat(40)
        assert states[-20:] == [(0, 1, 0)] * 20
        feeding = True
        await ctx.tick().repeat(100)
        # Two tiles fill both banks.
        assert states[-20:] == [(0, 0, 1)] * 20
        assert sum(busy for busy, *_ in states) == 2 * 5
        ctx.set(dut.freed, 1)
        await ctx.tick()
        ctx.set(dut.freed, 0)
        await ctx.tick().repeat(40)
        assert states[-20:] == [(0, 0, 0)] * 20
        assert sum(busy for busy, *_ in states) == 3 * 5
        assert all(sum(state) <= 1 for state in states)

    run(dut, descriptors, weights, process, background=[watch])


def test_parameters_are_checked() -> None:
    from penstock.hw.array.loader import WeightLoader
    from penstock.hw.array.pe import ProcessingElement
    from penstock.hw.array.systolic import SystolicArray
    from penstock.hw.engines.im2col import AddressGenerator

    with pytest.raises(ValueError, match="rows must be a positive integer, not 0"):
        SystolicArray(rows=0, cols=4)
    with pytest.raises(ValueError, match="width must be an integer of at least 16, not 8"):
        ProcessingElement(width=8)
    with pytest.raises(ValueError, match="hold must be a positive integer, not 0"):
        WeightLoader(rows=4, cols=4, hold=0)
    with pytest.raises(ValueError, match="psum_words must be a positive integer, not 0"):
        AddressGenerator(psum_words=0)
    with pytest.raises(ValueError, match="depth must be a positive integer, not 0"):
        Buffer(depth=0, width=8)
