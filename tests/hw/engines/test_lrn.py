# amaranth: UnusedElaboratable=no
"""The LRN engine against the exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from penstock.hw.engines.lrn import LrnLane, LrnLanes
from penstock.models.golden.fixed import lrn_apply, lrn_gains, lrn_table, pack_lrn_table
from penstock.sim.bench import runner
from tests.support.hwsim import pass_through, run

Ints = NDArray[np.int64]

ALEXNET = lrn_table(in_scale=0.5, out_scale=0.5, size=5, alpha=1e-4, beta=0.75, k=1.0)
# A gain that falls much more, so that differences and small shifts matter.
STEEP = lrn_table(in_scale=4.0, out_scale=1 / 32, size=5, alpha=0.1, beta=0.75, k=1.0)


def random_table(seed: int) -> tuple[Ints, Ints, int]:
    """Return a falling table whose entries have no other structure."""
    rng = np.random.default_rng(seed)
    entries = np.sort(rng.integers(0, 1 << 16, 257))[::-1]
    return entries[:-1], entries[:-1] - entries[1:], int(rng.integers(1, 32))


# All of the gain falls in one segment, an odd one: no difference is larger.
_ENTRIES = np.repeat([0xFFFF, 0], [102, 155])
CLIFF = (_ENTRIES[:-1], _ENTRIES[:-1] - _ENTRIES[1:], 16)


async def write_table(ctx, dut, table: Ints, difference: Ints) -> None:
    ctx.set(dut.table.en, 1)
    for i, word in enumerate(np.frombuffer(pack_lrn_table(table, difference), "<u8").tolist()):
        ctx.set(dut.table.addr, i)
        ctx.set(dut.table.data, word)
        await ctx.tick()
    ctx.set(dut.table.en, 0)


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize(
    "table",
    [ALEXNET, STEEP, CLIFF, random_table(3)],
    ids=["alexnet", "steep", "cliff", "random"],
)
def test_lane(seed: int, table: tuple[Ints, Ints, int]) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    entries, difference, shift = table
    # All small sums, and around every segment's start.
    starts = [(16 + i % 16) << (i // 16) for i in range(15 * 16)]
    sums = np.concatenate(
        [
            np.arange(64),
            *(np.array(starts) + d for d in (-1, 0, 1)),
            rng.integers(0, 5 * 255 * 255 + 1, 400),
            [5 * 255 * 255],
        ]
    )
    sums = np.clip(sums, 0, 5 * 255 * 255)
    values = rng.integers(0, 256, len(sums))
    values[rng.random(len(sums)) < 0.3] = 255
    gains = lrn_gains(entries, difference)
    want = np.minimum((values * gains[sums] + (1 << shift - 1)) >> shift, 255)

    dut = LrnLane()
    got: list[int] = []

    async def testbench(ctx):
        ctx.set(dut.shift, shift)
        await write_table(ctx, dut, entries, difference)
        got.extend(await pass_through(ctx, dut, (dut.squares, dut.value), zip(sums, values)))

    run(dut, testbench, cycles=len(values) + 1000)
    wrong = np.flatnonzero(np.array(got) != want)
    assert not len(wrong), (
        f"{len(wrong)} wrong, first: sum {sums[wrong[0]]}, value {values[wrong[0]]}: "
        f"{got[wrong[0]]}, not {want[wrong[0]]}"
    )


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize(
    ("rows", "lanes"), [(4, 2), (6, 2), (12, 2), (16, 2), (2, 2), (4, 1), (3, 1), (8, 4)]
)
def test_words(seed: int, rows: int, lanes: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    entries, difference, shift = STEEP
    gains = lrn_gains(entries, difference)
    dut = LrnLanes(rows=rows, lanes=lanes)
    assert dut.interval == rows // lanes
    windows = rng.integers(0, 256, (24, rows + 4), dtype=np.uint8)
    windows[rng.random(windows.shape) < 0.4] = 0
    want = lrn_apply(windows[:, 2:-2], windows[:, :2], windows[:, -2:], gains, shift)
    got: list[tuple[int, bytes]] = []
    due: list[tuple[int, bytes]] = []
    cycle = 0

    async def testbench(ctx):
        nonlocal cycle
        ctx.set(dut.shift, shift)
        await write_table(ctx, dut, entries, difference)

        async def tick() -> None:
            nonlocal cycle
            await ctx.tick()
            cycle += 1
            if ctx.get(dut.o_valid):
                got.append((cycle, ctx.get(dut.o_word).to_bytes(rows, "little")))

        for i, window in enumerate(windows):
            ctx.set(dut.i_start, 1)
            ctx.set(dut.i_window, int.from_bytes(window.tobytes(), "little"))
            due.append((cycle + dut.latency, want[i].tobytes()))
            await tick()
            ctx.set(dut.i_start, 0)
            # The first half at full rate.
            for _ in range(dut.interval - 1 + (int(rng.integers(0, 4)) if i > 12 else 0)):
                ctx.set(dut.i_window, int(rng.integers(0, 1 << 16)))
                await tick()
        for _ in range(dut.latency):
            await tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(testbench)
    sim.run()
    assert got == due


@pytest.mark.parametrize("rows", [1, 0, "4"])
def test_wrong_rows(rows: object) -> None:
    with pytest.raises(ValueError, match="rows must be an integer of at least 2, not"):
        LrnLanes(rows=rows, lanes=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("lanes", [0, 3, 8, -1])
def test_wrong_lanes(lanes: int) -> None:
    with pytest.raises(ValueError, match="lanes must divide rows, 4, not be"):
        LrnLanes(rows=4, lanes=lanes)


def test_lane_in_cocotb() -> None:
    runner.run(LrnLane(), "penstock.sim.bench.lrn", testcase="sums", parameters={"step": 5})


def test_words_in_cocotb() -> None:
    parameters = {"rows": 16, "lanes": 2, "count": 500}
    lanes = LrnLanes(rows=16, lanes=2)
    runner.run(
        lanes, "penstock.sim.bench.lrn", simulator="icarus", testcase="words", parameters=parameters
    )
