# amaranth: UnusedElaboratable=no
"""The weight loader: blocks are shifted into the chains, which hold when required."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from penstock.hw.array.loader import WeightLoader
from tests.support.hwsim import drive, run


@pytest.mark.parametrize("hold", [0, -3])
def test_wrong_hold(hold: int) -> None:
    with pytest.raises(ValueError, match=f"hold must be a positive integer, not {hold}"):
        WeightLoader(rows=4, cols=4, hold=hold)


def load(*, rows: int, cols: int, hold: int, blocks: int, stall: float, seed: int) -> list[int]:
    """Load and take random blocks, all checked; return the cycles of the takes."""
    rng = random.Random(seed)
    weights = np.random.default_rng(seed).integers(-128, 128, (blocks, rows, cols), dtype=np.int8)
    words = [int.from_bytes(row.tobytes(), "little") for block in weights for row in block[::-1]]
    dut = WeightLoader(rows=rows, cols=cols, hold=hold)
    takes: list[int] = []
    shifts = 0

    async def feed(ctx):
        await drive(ctx, dut.i, words, rng=rng, stall=stall)

    async def array(ctx):
        nonlocal shifts
        # Row 0 of the chains is the top one.
        chain = [[0] * cols for _ in range(rows)]
        wgt = [dut.wgt[c] for c in range(cols)]
        taken = None
        now = 0
        while len(takes) < blocks or taken is not None:
            take = bool(ctx.get(dut.ready)) and rng.random() >= stall and len(takes) < blocks
            ctx.set(dut.take, take)
            _, _, shift, *row = await ctx.tick().sample(dut.shift, *wgt)
            if taken is not None:
                # The swap is at the earliest in the cycle after the take.
                assert chain == weights[taken].tolist(), f"block {taken}"
                taken = None
            if shift:
                chain = [row, *chain[:-1]]
                shifts += 1
                assert not takes or now > takes[-1] + hold, "the chains move while they must not"
            if take:
                taken = len(takes)
                takes.append(now)
            now += 1
        ctx.set(dut.take, 0)

    run(dut, feed, array)
    assert shifts == blocks * rows
    return takes


@pytest.mark.parametrize(
    ("rows", "cols", "hold", "seed"), [(4, 3, 7, 1), (1, 2, 1, 2), (6, 1, 2, 3), (3, 2, 16, 4)]
)
def test_blocks(rows: int, cols: int, hold: int, seed: int) -> None:
    print(f"seed {seed}")
    load(rows=rows, cols=cols, hold=hold, blocks=8, stall=0.4, seed=seed)


@pytest.mark.parametrize(("rows", "hold"), [(4, 7), (2, 1)])
def test_ready_blocks_take_as_long_as_hold_and_shift(rows: int, hold: int) -> None:
    takes = load(rows=rows, cols=2, hold=hold, blocks=6, stall=0.0, seed=1)
    assert {b - a for a, b in itertools.pairwise(takes)} == {hold + rows + 1}
