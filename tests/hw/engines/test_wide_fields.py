# amaranth: UnusedElaboratable=no
"""Fields and addresses use all their bits: large values, of which only the first cycles are
checked.

A counter without its top bit would read a value just above half of its range as a small one, and
end at once.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from penstock.hw.bus.burst_splitter import BurstSplitter
from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.hw.core.csr import CsrBank
from penstock.hw.core.fetch import Fetch
from penstock.hw.core.sequencer import Sequencer
from penstock.hw.engines.drain import DrainEngine
from penstock.hw.engines.im2col import AddressGenerator
from penstock.hw.engines.load import LoadEngine
from penstock.hw.engines.post import PostEngine
from penstock.hw.engines.post_scan import PostScan
from penstock.hw.engines.weights import WeightsEngine
from penstock.hw.lib.stream import Downsizer, Upsizer
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, FIELDS, Dest, Op
from penstock.sim.bench.im2col import Word, random_descriptor, words
from tests.support.hwsim import collect, drive, plain, run

ARCH = get_arch("tiny")
# The largest memories an arch may have.
LARGE = Arch(
    name="large",
    rows=4,
    cols=4,
    act_words=1 << 16,
    psum_words=1 << 16,
    out_words=1 << 16,
    wgt_words=64,
    drain_lanes=2,
    lrn_lanes=2,
)
BASE = 0x8765_4000


def fields(op: Op, **values: int) -> dict[str, int]:
    return {**{field.name: 0 for field in FIELDS[op][1:]}, "op": int(op), **values}


async def offer(ctx: Any, port: Any, payload: dict[str, int]) -> None:
    await drive(ctx, port, [payload], rng=random.Random(1), stall=0)


async def take(ctx: Any, port: Any, count: int) -> list[Any]:
    return await collect(ctx, port, count, rng=random.Random(2), stall=0)


def test_counts_of_beats_have_32_bits() -> None:
    csr = CsrBank(arch=ARCH)
    for dma in (ReadDma(), WriteDma()):
        assert len(dma.control.expected) == len(dma.control.received) == 32
    for port in (csr.program, Sequencer(arch=ARCH).program):
        assert len(port.fetched) == len(port.desc_addr) == len(port.desc_count) == 32
    for dma in csr.dmas:
        assert len(dma.expected) == len(dma.received) == len(dma.base) == 32
    assert len(Fetch(arch=ARCH).fetched) == 32


def test_long_command() -> None:
    dut = BurstSplitter()
    start = 0xC000_0000 - 3 * 8

    async def process(ctx: Any) -> None:
        ctx.set(dut.base, BASE)
        await offer(ctx, dut.i, {"addr": start - BASE, "beats": (1 << 23) + 5})
        bursts = await take(ctx, dut.o, 4)
        assert bursts == [
            {"addr": start, "beats": 3, "last": 0},
            *({"addr": 0xC000_0000 + 128 * k, "beats": 16, "last": 0} for k in range(3)),
        ]

    run(dut, process, cycles=100)


def test_load() -> None:
    dut = LoadEngine(arch=ARCH)
    stride, beats = 0x8000_0048, (1 << 23) + 1

    async def process(ctx: Any) -> None:
        values = {"plane_beats": beats, "planes": (1 << 15) + 1, "plane_stride": stride}
        await offer(ctx, dut.i, fields(Op.LOAD, mem=0x9000_0008, **values))
        for index, command in enumerate(await take(ctx, dut.cmd, 4)):
            address = (0x9000_0008 + index * stride) % (1 << 32)
            assert command == {"addr": address, "beats": beats}

    run(dut, process, cycles=100)


@pytest.mark.parametrize(("beats", "planes"), [((1 << 23) + 3, 1), (1, (1 << 15) + 3)])
def test_load_of_many_beats(beats: int, planes: int) -> None:
    dut = LoadEngine(arch=ARCH)

    async def commands(ctx: Any) -> None:
        ctx.set(dut.cmd.ready, 1)

    async def process(ctx: Any) -> None:
        values = {"plane_beats": beats, "planes": planes, "row_beats": 1, "row_words": 2}
        await offer(ctx, dut.i, fields(Op.LOAD, dest=int(Dest.TABLE), **values))
        await drive(ctx, dut.data, range(20), rng=random.Random(1), stall=0)
        for _ in range(10):
            *_, done, ready = await ctx.tick().sample(dut.done, dut.data.ready)
            assert ready and not done

    run(dut, commands, process, cycles=200)


def test_load_of_a_long_row() -> None:
    arch = replace(ARCH, rows=6, out_words=1 << 16)
    dut = LoadEngine(arch=arch)
    data = random.Random(3).randbytes(8 * 24)

    async def process(ctx: Any) -> None:
        ctx.set(dut.cmd.ready, 1)
        row = {"row_words": 43691, "row_beats": 32769, "plane_beats": 32769, "planes": 1}
        await offer(ctx, dut.i, fields(Op.LOAD, dest=int(Dest.OUT), base=0xFFF0, **row))
        beats = [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data), 8)]
        await drive(ctx, dut.data, beats, rng=random.Random(1), stall=0)

    async def sink(ctx: Any) -> None:
        for index, word in enumerate(await take(ctx, dut.out, 30)):
            value = int.from_bytes(data[6 * index : 6 * index + 6], "little")
            assert word == {"addr": (0xFFF0 + index) % (1 << 16), "data": value}

    run(dut, process, sink, cycles=200)


def test_weights() -> None:
    dut = WeightsEngine(arch=ARCH)
    beats = (1 << 23) + 3

    async def process(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await offer(ctx, dut.i, fields(Op.WEIGHTS, mem=0x9000_0008, beats=beats))
        assert await take(ctx, dut.cmd, 1) == [{"addr": 0x9000_0008, "beats": beats}]
        await drive(ctx, dut.data, range(20), rng=random.Random(1), stall=0)
        for _ in range(10):
            *_, done = await ctx.tick().sample(dut.done)
            assert not done

    run(dut, process, cycles=200)


def test_fetch() -> None:
    dut = Fetch(arch=ARCH)

    async def process(ctx: Any) -> None:
        ctx.set(dut.desc_addr, 0x9000_0040)
        ctx.set(dut.desc_count, (1 << 31) + 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for index, command in enumerate(await take(ctx, dut.cmd, 4)):
            assert command == {"addr": 0x9000_0040 + index * DESCRIPTOR_BYTES, "beats": 8}
        # The count of those that were handed out is as wide.
        for op in Op:
            ctx.set(dut.engines[op].ready, 1)
        assert ctx.get(dut.finished) == 0

    run(dut, process, cycles=100)


CONV = {"n_cb": 1, "n_ky": 1, "n_kx": 1, "n_y": 1, "n_x": 1, "more_images": 0}


@pytest.mark.parametrize(
    ("counts", "watched"),
    [
        ({"n_x": 32770}, 32770),
        ({"n_y": 32770}, 32770),
        ({"more_images": 32769}, 32770),
        ({"n_kx": 200}, 200),
        ({"n_ky": 200}, 200),
        ({"n_cb": 32770}, 32770),
    ],
)
def test_address_generator(counts: dict[str, int], watched: int) -> None:
    rng = random.Random(4)
    dut = AddressGenerator(psum_words=1 << 16)
    d = random_descriptor(rng, first=True, last=True, n_y=1, n_x=1)
    d = {**d, **CONV, **counts, "in_h": 65535, "in_w": 65535, "y0": -2, "x0": -2}
    seen: list[Word] = []

    async def descriptors(ctx: Any) -> None:
        await offer(ctx, dut.i, {"op": int(Op.CONV), **d})

    async def watch(ctx: Any) -> None:
        ctx.set(dut.weights, 1)
        ctx.set(dut.bank, 1)
        while len(seen) < watched:
            *_, o, done = await ctx.tick().sample(dut.o, dut.done)
            got = plain(o)
            if got["valid"]:
                seen.append(Word.seen(got, begins_tile=not seen, final=bool(done)))

    run(dut, descriptors, watch, cycles=2000 + 5 * watched)
    assert seen == list(islice(words(d), watched))


def scanned(d: dict[str, int], count: int) -> list[tuple[bool, int | None, bool]]:
    """Whether a pixel exists, its address, and whether it completes a window; one row."""
    pixels = []
    for column in range(count):
        ix = d["x0"] + column
        inside = 0 <= ix < d["in_w"]
        done = column + 1 - d["kernel"]
        emit = done >= 0 and done % d["stride"] == 0
        pixels.append((inside, (d["base"] + ix) % (1 << 16) if inside else None, emit))
    return pixels


async def begin(ctx: Any, dut: PostScan, d: dict[str, int]) -> None:
    """Start the window scan of a descriptor."""
    ctx.set(dut.d, fields(Op.POST, **d))
    await ctx.tick().repeat(3)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


@pytest.mark.parametrize("stride", [1, 15])
def test_post_walk_of_a_long_row(stride: int) -> None:
    dut = PostScan(words=1 << 16)
    d = {"kernel": 1, "stride": stride, "x0": -2, "in_h": 1, "in_w": 65535, "base": 0xFFFC}
    d |= {"out_h": 1, "out_w": 32769}

    async def process(ctx: Any) -> None:
        await begin(ctx, dut, d)
        got = await take(ctx, dut.o, 40)
        for pixel, (inside, address, emit) in zip(got, scanned(d, 40), strict=True):
            assert pixel["inside"] == inside
            assert not inside or pixel["addr"] == address
            assert pixel["control"]["emit"] == emit

    run(dut, process, cycles=300)


def test_post_walk_of_many_rows() -> None:
    dut = PostScan(words=1 << 16)
    y0 = -(1 << 15)
    d = {"kernel": 1, "stride": 1, "x0": 0, "y0": y0, "in_h": 65535, "in_w": 1}
    d |= {"out_h": 32770, "out_w": 1}

    async def process(ctx: Any) -> None:
        await begin(ctx, dut, d)
        assert [pixel["inside"] for pixel in await take(ctx, dut.o, 6)] == [0] * 6

    run(dut, process, cycles=100)


def test_post_walk_seeks_its_first_row() -> None:
    """From row 0 down to `y0`, which may be as large as its field allows."""
    dut = PostScan(words=1 << 16)
    d = {"kernel": 2, "stride": 1, "x0": 0, "y0": 300, "in_h": 302, "in_w": 1, "base": 7}
    d |= {"out_h": 1, "out_w": 1}

    async def process(ctx: Any) -> None:
        await begin(ctx, dut, d)
        got = await take(ctx, dut.o, 4)
        assert [pixel["addr"] for pixel in got[:2]] == [307, 308]
        assert all(pixel["inside"] for pixel in got[:2])

    run(dut, process, cycles=400)


def test_post_writes() -> None:
    dut = PostEngine(arch=LARGE)
    beats = (1 << 23) + 1

    async def process(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        d = {"kernel": 1, "stride": 1, "in_h": 1, "in_w": 65535, "channels": 4}
        d |= {"out_h": 1, "out_w": 65535, "row_beats": 32768, "beats": beats, "mem": 0x9000_0008}
        await offer(ctx, dut.i, fields(Op.POST, **d))
        assert await take(ctx, dut.cmd, 1) == [{"addr": 0x9000_0008, "beats": beats}]
        # The next descriptor waits for all of them.
        for _ in range(60):
            *_, ready = await ctx.tick().sample(dut.i.ready)
            assert not ready

    run(dut, process, cycles=200)


def test_drain() -> None:
    dut = DrainEngine(arch=LARGE)
    base = 0xFFF0

    async def process(ctx: Any) -> None:
        ctx.set(dut.filled, 1)
        await ctx.tick()
        ctx.set(dut.filled, 0)
        values = {"base": base, "lane_groups": 2, "count": 32769}
        await offer(ctx, dut.i, fields(Op.DRAIN, **values))
        positions, addresses = [], []
        for _ in range(100):
            *_, en, address, w_en, w_address, done = await ctx.tick().sample(
                *(dut.psums.en, dut.psums.addr.word, dut.out.en, dut.out.addr, dut.done)
            )
            assert not done
            positions += [address] if en else []
            addresses += [w_address] if w_en == 1 else []
        assert positions == list(range(len(positions))) and len(positions) > 40
        assert addresses == [(base + k) % (1 << 16) for k in range(len(addresses))]
        assert len(addresses) > 30

    run(dut, process, cycles=200)


def test_upsizer_of_a_long_row() -> None:
    dut = Upsizer(in_bytes=8, out_bytes=12)
    data = random.Random(5).randbytes(8 * 30)

    async def source(ctx: Any) -> None:
        ctx.set(dut.row_words, 21846)
        ctx.set(dut.row_beats, 32769)
        beats = [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data), 8)]
        await drive(
            ctx, dut.i, [{"data": b, "last": 0} for b in beats], rng=random.Random(1), stall=0
        )

    async def sink(ctx: Any) -> None:
        for index, word in enumerate(await take(ctx, dut.o, 19)):
            assert word["data"] == int.from_bytes(data[12 * index : 12 * index + 12], "little")

    run(dut, source, sink, cycles=200)


def test_downsizer_of_a_long_row() -> None:
    """Its last beat is filled with zeros, and the next row begins with the next beat."""
    dut = Downsizer(in_bytes=12, out_bytes=8)
    words = 32769
    rng = random.Random(6)
    rows = [rng.randbytes(12 * words), rng.randbytes(24)]
    data = rows[0] + bytes(-len(rows[0]) % 8) + rows[1]

    async def source(ctx: Any) -> None:
        ctx.set(dut.row_words, words)
        items = [
            int.from_bytes(row[k : k + 12], "little")
            for row in rows
            for k in range(0, len(row), 12)
        ]
        await drive(ctx, dut.i, items, rng=random.Random(1), stall=0)

    async def sink(ctx: Any) -> None:
        beats = await take(ctx, dut.o, len(data) // 8)
        assert b"".join(beat.to_bytes(8, "little") for beat in beats) == data

    run(dut, source, sink, cycles=2 * words)
