# amaranth: UnusedElaboratable=no
"""Streams: order, row ends, and throughput, with random stalls on both sides."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.lib.stream import Downsizer, Upsizer, _Gearbox
from tests.support.hwsim import collect, drive, run

SIZES = [4, 6, 8, 12, 16, 32]


def random_rows(rng: random.Random, size: int, count: int) -> list[list[int]]:
    return [[rng.randrange(1 << 8 * size) for _ in range(rng.randint(1, 9))] for _ in range(count)]


def beats_of(row: list[int], size: int, padding: int = 0) -> list[int]:
    """Beats of 8 bytes that hold a row of words of `size` bytes."""
    text = b"".join(word.to_bytes(size, "little") for word in row)
    text += bytes([padding]) * (-len(text) % 8)
    return [int.from_bytes(text[k : k + 8], "little") for k in range(0, len(text), 8)]


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("size", SIZES)
def test_upsizer_drops_what_is_left_of_a_row(size: int, stall: float) -> None:
    rng = random.Random(size)
    dut = Upsizer(in_bytes=8, out_bytes=size)
    rows = random_rows(rng, size, 30)

    async def source(ctx: Any) -> None:
        for row in rows:
            beats = beats_of(row, size, padding=0xFF)
            ctx.set(dut.row_words, len(row))
            ctx.set(dut.row_beats, len(beats))
            items = [
                {"data": beat, "last": len(row) % 2 and k == len(beats) - 1}
                for k, beat in enumerate(beats)
            ]
            await drive(ctx, dut.i, items, rng=rng, stall=stall)

    async def sink(ctx: Any) -> None:
        for row in rows:
            words = await collect(ctx, dut.o, len(row), rng=rng, stall=stall)
            assert [word["data"] for word in words] == row
            marks = [0] * (len(row) - 1) + [len(row) % 2]
            assert [word["last"] for word in words] == marks

    run(dut, source, sink)


@pytest.mark.parametrize("size", SIZES)
def test_upsizer_is_as_fast_as_the_slower_side(size: int) -> None:
    rng = random.Random(size)
    dut = Upsizer(in_bytes=8, out_bytes=size)
    row = [rng.randrange(1 << 8 * size) for _ in range(96)]
    beats = beats_of(row, size)

    async def source(ctx: Any) -> None:
        items = [{"data": beat, "last": 0} for beat in beats]
        await drive(ctx, dut.i, items, rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        words = await collect(ctx, dut.o, len(row), rng=rng, stall=0)
        assert [word["data"] for word in words] == row

    run(dut, source, sink, cycles=max(len(row), len(beats)) + 6)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("size", SIZES)
def test_downsizer_fills_a_row_with_zeros(size: int, stall: float) -> None:
    rng = random.Random(size)
    dut = Downsizer(in_bytes=size, out_bytes=8)
    rows = random_rows(rng, size, 30)

    async def source(ctx: Any) -> None:
        for row in rows:
            ctx.set(dut.row_words, len(row))
            await drive(ctx, dut.i, row, rng=rng, stall=stall)

    async def sink(ctx: Any) -> None:
        for row in rows:
            beats = beats_of(row, size)
            assert await collect(ctx, dut.o, len(beats), rng=rng, stall=stall) == beats

    run(dut, source, sink)


@pytest.mark.parametrize("size", SIZES)
def test_downsizer_is_as_fast_as_the_slower_side(size: int) -> None:
    rng = random.Random(size)
    dut = Downsizer(in_bytes=size, out_bytes=8)
    rows = [[rng.randrange(1 << 8 * size) for _ in range(13)] for _ in range(6)]
    beats = [beat for row in rows for beat in beats_of(row, size)]

    async def source(ctx: Any) -> None:
        ctx.set(dut.row_words, 13)
        await drive(ctx, dut.i, [word for row in rows for word in row], rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        assert await collect(ctx, dut.o, len(beats), rng=rng, stall=0) == beats

    run(dut, source, sink, cycles=max(len(beats), 13 * 6) + 6)


@pytest.mark.parametrize(
    ("in_lanes", "out_lanes"), [(8, 1), (2, 1), (1, 2), (2, 3), (4, 3), (8, 5)]
)
def test_gearbox_is_no_larger_than_it_must_be(in_lanes: int, out_lanes: int) -> None:
    """With the lanes it has, the slower side goes on every cycle; with one less it waits."""
    assert all(_goes_on(in_lanes, out_lanes, missing=0))
    assert not all(_goes_on(in_lanes, out_lanes, missing=1))


def _goes_on(in_lanes: int, out_lanes: int, *, missing: int) -> list[bool]:
    """Whether the slower side goes on, in each of some cycles in which the other one would."""
    dut = _Gearbox(lane_bits=1, in_lanes=in_lanes, out_lanes=out_lanes, max_count=in_lanes)
    dut.capacity -= missing
    slower = dut.o.valid if out_lanes < in_lanes else dut.i.ready
    goes_on: list[bool] = []

    async def process(ctx: Any) -> None:
        ctx.set(dut.count, in_lanes)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(10)
        for _ in range(60):
            *_, there = await ctx.tick().sample(slower)
            goes_on.append(bool(there))

    run(dut, process)
    return goes_on


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="in_bytes must be a power of two, not 12"):
        Upsizer(in_bytes=12, out_bytes=8)
    with pytest.raises(ValueError, match="out_bytes must be a positive integer, not 0"):
        Upsizer(in_bytes=8, out_bytes=0)
    with pytest.raises(ValueError, match="out_bytes must be a power of two, not 6"):
        Downsizer(in_bytes=8, out_bytes=6)
    with pytest.raises(ValueError, match="in_bytes must be a positive integer, not 0"):
        Downsizer(in_bytes=0, out_bytes=8)
