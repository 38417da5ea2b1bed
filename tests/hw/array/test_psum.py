# amaranth: UnusedElaboratable=no
"""The partial-sum memory: one bank accumulates while the other is read."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest

from penstock.hw.array.pe import sum_width
from penstock.hw.array.psum import PartialSums, accumulate_layout
from tests.support.hwsim import run


def test_layout_has_room_for_every_word() -> None:
    assert accumulate_layout(1)["addr"].width == 0
    assert accumulate_layout(64)["addr"].width == 6
    assert accumulate_layout(65)["addr"].width == 7


@pytest.mark.parametrize(
    ("rows", "cols", "words", "seed"), [(4, 3, 8, 1), (2, 1, 5, 2), (16, 2, 16, 3)]
)
def test_tiles(rows: int, cols: int, words: int, seed: int) -> None:
    """Tiles of one to many blocks, each read while the next one accumulates."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nrng = np.random.default_rng(seed)
    tiles = 8
    limit = 1 << sum_width(rows) - 1
    dut = PartialSums(rows=rows, cols=cols, words=words)
    expected: list[np.ndarray] = []
    filled = freed = now = 0
    # Outputs of the array's columns: cycle -> column -> sum.
    due: defaultdict[int, dict[int, int]] = defaultdict(dict)

    async def accumulate(ctx):
        nonlocal now

        async def tick() -> None:
            nonlocal now
            # Between the words, the array's outputs are arbitrary.
            for c in range(cols):
                ctx.set(dut.sums[c], due[now].get(c, rng.randrange(-limit, limit)))
            await ctx.tick()
            now += 1
            ctx.set(dut.i.valid, 0)

        for index in range(tiles):
            while index - freed >= 2:
                await tick()
            count, blocks = rng.randint(1, words), rng.randint(1, 4)
            bubbles = rng.choice((0.0, 0.3))
            sums = nrng.integers(-limit, limit, (blocks, count, cols))
            if rng.random() < 0.3:
                sums[:] = rng.choice((-limit, limit - 1))
            expected.append(sums.sum(0))
            before: dict[int, int] = {}
            for b in range(blocks):
                for position in range(count):
                    while rng.random() < bubbles or (
                        b and now - before[position] < dut.RMW_LATENCY
                    ):
                        await tick()
                    before[position] = now
                    for c in range(cols):
                        due[now + dut.SUM_DELAY + c][c] = int(sums[b, position, c])
                    word = {
                        "valid": 1,
                        "first": b == 0,
                        "last": (b, position) == (blocks - 1, count - 1),
                        "bank": index % 2,
                        "addr": position,
                    }
                    ctx.set(dut.i, word)
                    await tick()
        while filled < tiles:
            await tick()

    async def count_filled(ctx):
        nonlocal filled
        while True:
            *_, pulse = await ctx.tick().sample(dut.filled)
            filled += pulse

    async def drain(ctx):
        nonlocal freed
        for index in range(tiles):
            while filled <= index:
                await ctx.tick()
            addresses = list(range(len(expected[index])))
            rng.shuffle(addresses)
            for address in addresses:
                ctx.set(dut.r.en, 1)
                ctx.set(dut.r.addr.bank, index % 2)
                ctx.set(dut.r.addr.word, address)
                await ctx.tick()
                ctx.set(dut.r.en, 0)
                ctx.set(dut.r.addr.bank, rng.randrange(2))
                await ctx.tick().repeat(dut.READ_LATENCY - 1)
                for _ in range(rng.choice((1, 1, 4))):
                    got = [ctx.get(dut.r.data[c]) for c in range(cols)]
                    want = expected[index][address].tolist()
                    assert got == want, f"tile {index}, position {address}"
                    await ctx.tick()
            freed += 1

    run(dut, accumulate, drain, background=[count_filled])
    assert filled == freed == tiles


def test_all_32_bits() -> None:
    """From one end of a partial sum to the other: the widest sums, as often as fits."""
    limit = 1 << sum_width(64) - 1
    words, blocks = PartialSums.RMW_LATENCY, (1 << 31) // limit
    dut = PartialSums(rows=64, cols=2, words=words)

    async def bench(ctx):
        for cycle in range(blocks * words + dut.RMW_LATENCY + 2):
            block, address = divmod(cycle, words)
            word = {
                "valid": block < blocks,
                "first": block == 0,
                "last": 0,
                "bank": 0,
                "addr": address,
            }
            ctx.set(dut.i, word)
            ctx.set(dut.sums[0], limit - 1)
            ctx.set(dut.sums[1], -limit)
            await ctx.tick()
        ctx.set(dut.r.en, 1)
        await ctx.tick().repeat(dut.READ_LATENCY)
        assert ctx.get(dut.r.data[0]) == blocks * (limit - 1)
        assert ctx.get(dut.r.data[1]) == -(1 << 31)

    run(dut, bench)


def test_distance_of_accumulations() -> None:
    """A position may come again after exactly `RMW_LATENCY` cycles."""
    words, blocks = PartialSums.RMW_LATENCY, 8
    dut = PartialSums(rows=4, cols=1, words=words)
    results: list[int] = []

    async def bench(ctx):
        for cycle in range(blocks * words + dut.RMW_LATENCY):
            valid = cycle < blocks * words
            first = cycle < words
            word = {"valid": valid, "first": first, "last": 0, "bank": 0, "addr": cycle % words}
            ctx.set(dut.i, word)
            ctx.set(dut.sums[0], 1 + (cycle - dut.SUM_DELAY) % words)
            await ctx.tick()
        ctx.set(dut.r.en, 1)
        for address in range(words):
            ctx.set(dut.r.addr.word, address)
            await ctx.tick().repeat(dut.READ_LATENCY)
            results.append(ctx.get(dut.r.data[0]))

    run(dut, bench)
    assert results == [blocks * (1 + address) for address in range(words)]
