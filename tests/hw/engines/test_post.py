# amaranth: UnusedElaboratable=no
"""The POST engine against a plain implementation of the ISA's loops."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.hw.engines.post import PostEngine
from penstock.hw.engines.post_scan import PostScan
from penstock.models.golden.fixed import lrn_apply, lrn_gains, lrn_table, pack_lrn_table
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import FIELDS, Op
from tests.support.engines import small_arch
from tests.support.hwsim import collect, drive, run

WORDS = 256
TABLE, DIFFERENCE, SHIFT = lrn_table(
    in_scale=4.0, out_scale=1 / 8, size=5, alpha=0.05, beta=0.75, k=1.0
)
GAINS = lrn_gains(TABLE, DIFFERENCE)


def post_arch(rows: int, lrn_lanes: int) -> Arch:
    return small_arch(rows, 8, out_words=WORDS, lrn_lanes=lrn_lanes)


def post_reference(out: NDArray[np.uint8], d: dict[str, int]) -> bytes:
    """Return the bytes that POST descriptor `d` writes, from output buffer `out` (words, rows)."""
    rows = out.shape[1]
    pixels = np.zeros((max(1, d["in_h"]), max(1, d["in_w"]), rows), np.uint8)
    for iy in range(d["in_h"]):
        for ix in range(d["in_w"]):
            if iy < d["halo_rows"]:
                word, step = d["halo_base"] + iy * d["in_w"] + ix, d["halo_step"]
            else:
                word, step = d["base"] + (iy - d["halo_rows"]) * d["in_w"] + ix, d["step"]
            own = out[word % WORDS].copy()
            own[d["channels"] :] = 0
            if d["lrn"]:
                before, after = np.zeros((2, 2), np.uint8)
                if d["has_prev"]:
                    before[:] = out[(word - step) % WORDS][-2:]
                after[: d["next_channels"]] = out[(word + step) % WORDS][: d["next_channels"]]
                own = lrn_apply(own, before, after, GAINS, d["lrn_shift"])
            pixels[iy, ix] = own
    result = b""
    for oy in range(d["out_h"]):
        row = b""
        for ox in range(d["out_w"]):
            best = np.zeros(rows, np.uint8)
            for ky in range(d["kernel"]):
                for kx in range(d["kernel"]):
                    iy = oy * d["stride"] + d["y0"] + ky
                    ix = ox * d["stride"] + d["x0"] + kx
                    if 0 <= iy < d["in_h"] and 0 <= ix < d["in_w"]:
                        best = np.maximum(best, pixels[iy, ix])
            row += best.tobytes()
        result += row.ljust(d["row_beats"] * 8, b"\0")
    return result


def descriptor(rows: int, **values: int) -> dict[str, int]:
    """Return a complete POST descriptor: `values`, and defaults for the other fields."""
    d = {field.name: 0 for field in FIELDS[Op.POST]}
    d.update(op=Op.POST, lrn_shift=SHIFT, kernel=1, stride=1, in_h=1, in_w=1, channels=rows)
    d.update(out_h=1, out_w=1)
    d.update(values)
    d["row_beats"] = -(-d["out_w"] * rows // 8)
    d["beats"] = d["out_h"] * d["row_beats"]
    return d


def random_descriptor(rng: random.Random, rows: int, lrn: bool) -> dict[str, int]:
    kernel = rng.randint(1, 3)
    in_h = rng.randint(1, 6)
    return descriptor(
        rows,
        wait_drain=rng.randrange(1 << 16),
        mark=rng.randrange(2),
        lrn=lrn and rng.random() < 0.7,
        kernel=kernel,
        stride=rng.choice([1, 1, 2, 2, 3, 4, 6]),
        y0=rng.randint(-2, 2),
        x0=rng.randint(-2, 2),
        in_h=in_h,
        in_w=rng.randint(1, 6),
        halo_rows=rng.choice([0, 0, 1, rng.randint(1, 7)]),
        halo_base=rng.randrange(1 << 16),
        halo_step=rng.randrange(1 << 16),
        base=rng.randrange(1 << 16),
        step=rng.randrange(1 << 16),
        channels=rng.choice([rows, rng.randint(1, rows)]),
        has_prev=rng.randrange(2),
        next_channels=rng.randint(0, 2),
        out_h=rng.randint(1, 3),
        out_w=rng.randint(1, 4),
        mem=rng.randrange(1 << 20) * 8,
    )


class Bench:
    """A POST engine between a random output buffer and a slow write DMA.

    Parameters
    ----------
    seed : int
    rows, lrn_lanes : int
        Of the arch.
    stall : float
        Share of cycles that each port stalls.
    """

    def __init__(self, *, seed: int, rows: int, lrn_lanes: int, stall: float) -> None:
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.stall = stall
        self.dut = PostEngine(arch=post_arch(rows, lrn_lanes))
        generator = np.random.default_rng(seed)
        self.out = generator.integers(0, 256, (WORDS, rows), dtype=np.uint8)
        self.out[generator.random(self.out.shape) < 0.2] = 0
        self.reads: list[tuple[int, int]] = []
        self.done: list[int] = []
        self.sent = 0
        self.limit = 20_000

    async def _memory(self, ctx: Any) -> None:
        dut = self.dut
        due: list[int | None] = [None, None]
        now = 0
        while True:
            _, _, enable, address = await ctx.tick().sample(dut.out.en, dut.out.addr)
            due = [due[1], address if enable else None]
            if enable:
                self.reads.append((now, address))
            # Without a completed read, the buffer's output is arbitrary.
            value = self.rng.getrandbits(len(dut.out.data))
            if due[0] is not None:
                value = int.from_bytes(self.out[due[0]].tobytes(), "little")
            ctx.set(dut.out.data, value)
            now += 1

    async def _monitor(self, ctx: Any) -> None:
        async for _, _, done, mark in ctx.tick().sample(self.dut.done, self.dut.mark):
            assert done or not mark
            if done:
                self.done.append(mark)

    def check(self, descriptors: list[dict[str, int]], *, acknowledge_late: bool = False) -> None:
        """Run descriptors and compare commands, beats, `done` and `mark`."""
        dut, rng, stall = self.dut, self.rng, self.stall

        async def control(ctx: Any) -> None:
            words = np.frombuffer(pack_lrn_table(TABLE, DIFFERENCE), "<u8").tolist()
            for i, word in enumerate(words if dut.arch.lrn_lanes else []):
                ctx.set(dut.table.en, 1)
                ctx.set(dut.table.addr, i)
                ctx.set(dut.table.data, word)
                await ctx.tick()
            ctx.set(dut.table.en, 0)
            await drive(ctx, dut.i, descriptors, rng=rng, stall=stall)

        async def commands(ctx: Any) -> None:
            got = await collect(ctx, dut.cmd, len(descriptors), rng=rng, stall=stall)
            assert got == [{"addr": d["mem"], "beats": d["beats"]} for d in descriptors]

        async def beats(ctx: Any) -> None:
            for i, d in enumerate(descriptors):
                got = await collect(ctx, dut.o, d["beats"], rng=rng, stall=stall)
                data = b"".join(beat.to_bytes(8, "little") for beat in got)
                assert data == post_reference(self.out, d), f"descriptor {i}: {d}"
                self.sent += 1

        async def acknowledge(ctx: Any) -> None:
            for i in range(len(descriptors)):
                while self.sent <= i:
                    await ctx.tick()
                if acknowledge_late and i == 0:
                    # No more than four are taken without an acknowledgement.
                    await ctx.tick().repeat(300)
                    assert self.sent == 4
                await ctx.tick().repeat(rng.randint(1, 40))
                assert len(self.done) == i
                ctx.set(dut.written, 1)
                await ctx.tick()
                ctx.set(dut.written, 0)
                await ctx.tick()
                assert len(self.done) == i + 1

        run(
            dut,
            control,
            commands,
            beats,
            acknowledge,
            background=[self._memory, self._monitor],
            cycles=self.limit,
        )
        assert self.done == [d["mark"] for d in descriptors]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    ("rows", "lrn_lanes"), [(4, 2), (6, 2), (16, 2), (12, 2), (4, 0), (8, 8), (2, 2), (3, 1)]
)
def test_random(seed: int, stall: float, rows: int, lrn_lanes: int) -> None:
    bench = Bench(seed=seed, rows=rows, lrn_lanes=lrn_lanes, stall=stall)
    bench.check([random_descriptor(bench.rng, rows, lrn_lanes > 0) for _ in range(6)])


@pytest.mark.parametrize("seed", [1])
def test_starved_output(seed: int) -> None:
    # More words than the FIFO holds, with memory hardly taking any.
    bench = Bench(seed=seed, rows=8, lrn_lanes=4, stall=0.93)
    bench.check(
        [
            descriptor(8, in_h=5, in_w=7, base=200, out_h=5, out_w=7),
            descriptor(8, in_h=5, in_w=7, base=200, out_h=5, out_w=7, lrn=1, has_prev=1, step=9),
        ]
    )


def test_no_room_at_all() -> None:
    """Far more words than the FIFO holds, all at once, and memory takes none for a long time."""
    bench = Bench(seed=1, rows=8, lrn_lanes=0, stall=0.0)
    dut, d = bench.dut, descriptor(8, in_h=9, in_w=9, base=100, out_h=9, out_w=9)

    async def process(ctx: Any) -> None:
        ctx.set(dut.cmd.ready, 1)
        await drive(ctx, dut.i, [d], rng=bench.rng, stall=0)
        await ctx.tick().repeat(150)
        reads = len(bench.reads)
        await ctx.tick().repeat(10)
        assert len(bench.reads) == reads < 81
        got = await collect(ctx, dut.o, d["beats"], rng=bench.rng, stall=0)
        data = b"".join(beat.to_bytes(8, "little") for beat in got)
        assert data == post_reference(bench.out, d)

    run(dut, process, background=[bench._memory])


def test_acknowledgements() -> None:
    bench = Bench(seed=1, rows=4, lrn_lanes=0, stall=0.1)
    bench.check(
        [descriptor(4, base=i, mem=i * 8, mark=i & 1) for i in range(7)], acknowledge_late=True
    )


def test_large_coordinates() -> None:
    # Windows that begin far below the first row or far above it, and the extremes of the fields.
    bench = Bench(seed=1, rows=4, lrn_lanes=2, stall=0.2)
    bench.check(
        [
            descriptor(
                4, in_h=60, in_w=3, y0=50, x0=1, base=7, halo_rows=20, halo_base=99, out_h=2
            ),
            descriptor(4, in_h=4, in_w=65535, y0=1, x0=32767, out_w=2, kernel=2, base=13),
            descriptor(4, in_h=65535, in_w=4, y0=-20, out_h=3, out_w=3, kernel=3, stride=15),
        ]
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "lrn", "interval"),
    [(1, 1, 0, 1), (3, 2, 0, 1), (3, 2, 1, 4), (1, 1, 1, 4)],
)
def test_throughput(kernel: int, stride: int, lrn: int, interval: int) -> None:
    bench = Bench(seed=1, rows=8, lrn_lanes=2, stall=0.0)
    out_h, out_w = 3, 5
    in_w = (out_w - 1) * stride + kernel
    in_h = (out_h - 1) * stride + kernel
    assert bench.dut.interval == 4
    bench.check(
        [
            descriptor(
                8,
                lrn=lrn,
                kernel=kernel,
                stride=stride,
                in_h=in_h,
                in_w=in_w,
                base=0,
                step=100,
                out_h=out_h,
                out_w=out_w,
            )
        ]
    )
    # Without neighbours every pixel is one read.
    times = [time for time, _ in bench.reads]
    assert len(times) == out_h * in_w * kernel
    gaps = np.diff(times)
    row = in_w * kernel
    inner = np.delete(gaps, np.arange(row - 1, len(gaps), row))
    assert set(inner.tolist()) == {interval}
    assert gaps.max() <= interval + max(kernel - 1, stride) + 1


@pytest.mark.parametrize(
    ("rows", "lanes", "interval"), [(8, 0, 1), (8, 2, 4), (8, 4, 3), (4, 4, 3), (12, 1, 12)]
)
def test_cycles_of_a_pixel_with_lrn(rows: int, lanes: int, interval: int) -> None:
    """Three planes are read, or the lanes need longer; without lanes there is no LRN."""
    assert PostEngine(arch=post_arch(rows, lanes)).interval == interval


@pytest.mark.parametrize("words", [0, 1, 12, 2.0])
def test_wrong_words(words: Any) -> None:
    with pytest.raises(ValueError, match="words must be a power of two of at least 2, not"):
        PostScan(words=words)
