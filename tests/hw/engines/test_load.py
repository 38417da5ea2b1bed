# amaranth: UnusedElaboratable=no
"""The LOAD engine against the ISA's loops, through the real DMA."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from penstock.hw.engines.load import LoadEngine
from penstock.models.golden.fixed import LRN_TABLE_PAIRS
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import ENGINE_WAITS, Dest, Op
from tests.support.engines import BASE, behind_dma, small_arch
from tests.support.hwsim import ReadSlave, drive, run

MEMORY = 4 * 4096


BUFFERS = {"act_words": 256, "out_words": 256, "wgt_words": 128}


def descriptor_of(rng: random.Random, arch: Arch, dest: Dest) -> dict[str, int]:
    words = rng.randint(1, 9)
    row_beats = arch.row_beats(words)
    plane_beats = row_beats * rng.randint(1, 5)
    if dest == Dest.TABLE:
        words, row_beats, plane_beats = rng.randrange(9), rng.randrange(9), rng.randint(1, 40)
    return {
        "dest": dest,
        "mem": 8 * rng.randrange(600),
        "base": rng.randrange(128 if dest == Dest.TABLE else 1 << 16),
        "row_words": words,
        "row_beats": row_beats,
        "plane_beats": plane_beats,
        "planes": rng.randint(1, 3),
        "plane_stride": 8 * rng.randrange(100),
        **{f"wait_{op.name.lower()}": 0 for op in ENGINE_WAITS[Op.LOAD]},
    }


def reference(arch: Arch, memory: bytearray, d: dict[str, int]) -> list[tuple[int, int, int]]:
    """(destination, address, value) of each write of one descriptor, in order."""
    text = b""
    for plane in range(d["planes"]):
        start = BASE + d["mem"] + plane * d["plane_stride"]
        text += memory[start : start + 8 * d["plane_beats"]]
    if d["dest"] == Dest.TABLE:
        words, size, row = 1, 8, 8
    else:
        words, size, row = d["row_words"], arch.rows, 8 * d["row_beats"]
    sizes = {Dest.ACT: arch.act_words, Dest.OUT: arch.out_words, Dest.TABLE: LRN_TABLE_PAIRS}
    writes = []
    for start in range(0, len(text), row):
        for k in range(words):
            value = int.from_bytes(text[start + k * size : start + (k + 1) * size], "little")
            address = (d["base"] + len(writes)) % sizes[Dest(d["dest"])]
            writes.append((d["dest"], address, value))
    return writes


async def watch(
    ctx: Any, load: LoadEngine, count: int, rng: random.Random, stall: float
) -> list[tuple[list[tuple[int, int, int]], int]]:
    """Return the writes, and the cycle of `done`, of each of `count` descriptors."""
    seen: list[tuple[list[tuple[int, int, int]], int]] = []
    writes: list[tuple[int, int, int]] = []
    cycle = 0
    while len(seen) < count:
        ready = rng.random() >= stall
        ctx.set(load.out.ready, ready)
        (
            _,
            _,
            done,
            act,
            act_addr,
            act_data,
            out,
            out_p,
            table,
            table_addr,
            table_data,
        ) = await ctx.tick().sample(
            *(load.done, load.act.en, load.act.addr, load.act.data),
            *(load.out.valid, load.out.payload),
            *(load.table.en, load.table.addr, load.table.data),
        )
        cycle += 1
        # A stalled write completes before `done`, other writes may coincide with it.
        if act:
            writes.append((Dest.ACT, act_addr, act_data))
        if table:
            writes.append((Dest.TABLE, table_addr, table_data))
        if done:
            seen.append((writes, cycle))
            writes = []
        if out and ready:
            writes.append((Dest.OUT, int(out_p["addr"]), int(out_p["data"])))
    return seen


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rows", [4, 6, 8, 12, 16])
def test_loads_what_the_descriptor_says(rows: int, seed: int) -> None:
    rng = random.Random(100 * rows + seed)
    arch = small_arch(rows, 8, **BUFFERS)
    m, dma, load = behind_dma(LoadEngine(arch=arch, slices=seed == 0))
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dma.bus, memory, rng=rng, latency=10, stall=0.1)
    descriptors = [descriptor_of(rng, arch, rng.choice(list(Dest))) for _ in range(14)]

    async def source(ctx: Any) -> None:
        await drive(ctx, load.i, descriptors, rng=rng, stall=0.1)

    async def sink(ctx: Any) -> None:
        seen = await watch(ctx, load, len(descriptors), rng, stall=0.3)
        for descriptor, (writes, _) in zip(descriptors, seen, strict=True):
            assert writes == reference(arch, memory, descriptor), descriptor

    run(m, source, sink, background=[slave.process])


def test_descriptors_follow_each_other_without_a_latency_gap() -> None:
    rng = random.Random(5)
    arch = small_arch(16, 8, **BUFFERS)
    m, dma, load = behind_dma(LoadEngine(arch=arch))
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dma.bus, memory, rng=rng, latency=40, stall=0)
    descriptors = [
        {**descriptor_of(rng, arch, Dest.ACT), **{"mem": 8 * 32 * k, "planes": 1}}
        for k in range(10)
    ]
    for descriptor in descriptors:
        descriptor.update(row_words=16, row_beats=32, plane_beats=64)

    async def source(ctx: Any) -> None:
        await drive(ctx, load.i, descriptors, rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        seen = await watch(ctx, load, len(descriptors), rng, stall=0)
        cycles = [cycle for _, cycle in seen]
        assert all(64 <= b - a <= 68 for a, b in pairwise(cycles)), cycles

    run(m, source, sink, background=[slave.process])
