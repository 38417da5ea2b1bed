# amaranth: UnusedElaboratable=no
"""The on-chip memory: read latency, held outputs and byte enables."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from tests.support.hwsim import run


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": 0, "width": 8}, "depth must be a positive integer, not 0"),
        ({"depth": -2, "width": 8}, "depth must be a positive integer, not -2"),
        ({"depth": 4, "width": 0}, "width must be a positive integer, not 0"),
        ({"depth": 4, "width": 8, "granularity": 3}, "must divide the width 8, not 3"),
        ({"depth": 4, "width": 8, "granularity": 16}, "must divide the width 8, not 16"),
        ({"depth": 4, "width": 8, "lanes": 3}, "must divide the width 8, written as a whole, not"),
        ({"depth": 4, "width": 8, "granularity": 4, "lanes": 2}, "as a whole, not 2"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Buffer(**parameters)


def test_ports_fit_the_depth() -> None:
    buffer = Buffer(depth=5, width=24, granularity=8)
    assert (len(buffer.w.en), len(buffer.w.addr), len(buffer.r.addr)) == (3, 3, 3)
    assert len(Buffer(depth=1, width=8).r.addr) == 0


@pytest.mark.parametrize(
    ("depth", "width", "granularity", "seed", "lanes"),
    [
        (16, 32, None, 1, 1),
        (16, 32, 8, 2, 1),
        (5, 12, 4, 3, 1),
        (1, 8, None, 4, 1),
        (8, 9, 9, 5, 1),
        (16, 24, None, 6, 3),
    ],
)
def test_reads_and_writes(
    depth: int, width: int, granularity: int | None, seed: int, lanes: int
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    dut = Buffer(depth=depth, width=width, granularity=granularity, lanes=lanes)
    granule = granularity or width
    words = [0] * depth
    # What r_data shows now and in the cycles to come; None: no read completes then.
    shown: int | None = None
    coming: list[int | None] = [None] * READ_LATENCY

    async def bench(ctx):
        nonlocal shown
        for cycle in range(300):
            w_en = rng.getrandbits(width // granule) if rng.random() < 0.5 else 0
            w_addr, w_data = rng.randrange(depth), rng.getrandbits(width)
            r_en, r_addr = rng.random() < 0.5, rng.randrange(depth)
            # A read of the word being written has no specified value.
            r_en = r_en and not (w_en and w_addr == r_addr)
            for port, value in (
                (dut.w.en, w_en),
                (dut.w.addr, w_addr),
                (dut.w.data, w_data),
                (dut.r.en, r_en),
                (dut.r.addr, r_addr),
            ):
                ctx.set(port, value)
            coming.append(words[r_addr] if r_en else None)
            for index in range(width // granule):
                if w_en >> index & 1:
                    mask = (1 << granule) - 1 << index * granule
                    words[w_addr] = words[w_addr] & ~mask | w_data & mask
            completed = coming.pop(0)
            shown = shown if completed is None else completed
            *_, got = await ctx.tick().sample(dut.r.data)
            assert shown is None or got == shown, f"cycle {cycle}: {got:#x}, not {shown:#x}"

    run(dut, bench)
