"""cocotb: local response normalisation against the exact arithmetic.

One lane: ``bench.run(LrnLane(), "penstock.sim.bench.lrn", testcase="sums", parameters={"step":
5})``.  All of them: ``bench.run(LrnLanes(rows=16, lanes=2), "penstock.sim.bench.lrn",
testcase="words", parameters={"rows": 16, "lanes": 2, "count": 500})``.
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from penstock.hw.engines.lrn import LrnLane, LrnLanes
from penstock.models.golden.fixed import lrn_apply, lrn_gains, lrn_table, pack_lrn_table
from penstock.sim.bench.runner import parameters

__all__ = ["sums", "words"]

_LARGEST = 5 * 255 * 255


async def start(dut: Any) -> tuple[NDArray[np.int64], int]:
    """Reset, and write a table whose gain falls steeply; return all gains and the shift."""
    table, difference, shift = lrn_table(
        in_scale=4.0, out_scale=1 / 8, size=5, alpha=0.05, beta=0.75, k=1.0
    )
    Clock(dut.clk, 10, unit="ns").start()
    dut.shift.value = shift
    dut.table__en.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    dut.table__en.value = 1
    for i, word in enumerate(np.frombuffer(pack_lrn_table(table, difference), "<u8").tolist()):
        dut.table__addr.value = i
        dut.table__data.value = word
        await RisingEdge(dut.clk)
    dut.table__en.value = 0
    return lrn_gains(table, difference), shift


@cocotb.test()
async def sums(dut: Any) -> None:
    """Every small sum of squares, then one in `step`, with random values."""
    dut.squares.value = 0
    dut.value.value = 0
    gains, shift = await start(dut)
    step = parameters()["step"]
    squares = np.concatenate([np.arange(1024), np.arange(1024, _LARGEST + 1, step), [_LARGEST]])
    rng = np.random.default_rng(random.randrange(1 << 32))
    values = rng.integers(0, 256, len(squares))
    want = np.minimum((values * gains[squares] + (1 << shift - 1)) >> shift, 255).tolist()
    for i in range(len(squares) + LrnLane.LATENCY):
        if i < len(squares):
            dut.squares.value = int(squares[i])
            dut.value.value = int(values[i])
        await RisingEdge(dut.clk)
        k = i - LrnLane.LATENCY
        if k >= 0:
            got = int(dut.y.value)
            assert got == want[k], f"sum {squares[k]}, value {values[k]}: {got}, not {want[k]}"


@cocotb.test()
async def words(dut: Any) -> None:
    """Words at the full rate, then with pauses."""
    rows, lanes, count = (parameters()[name] for name in ("rows", "lanes", "count"))
    interval = rows // lanes
    dut.i_start.value = 0
    dut.i_window.value = 0
    gains, shift = await start(dut)
    rng = np.random.default_rng(random.randrange(1 << 32))
    windows = rng.integers(0, 256, (count, rows + 4), dtype=np.uint8)
    windows[rng.random(windows.shape) < 0.4] = 0
    windows[rng.random(count) < 0.05] = 255
    want = lrn_apply(windows[:, 2:-2], windows[:, :2], windows[:, -2:], gains, shift)
    got: list[bytes] = []

    async def tick() -> None:
        await RisingEdge(dut.clk)
        if dut.o_valid.value:
            got.append(int(dut.o_word.value).to_bytes(rows, "little"))

    for i, window in enumerate(windows):
        dut.i_start.value = 1
        dut.i_window.value = int.from_bytes(window.tobytes(), "little")
        await tick()
        dut.i_start.value = 0
        for _ in range(interval - 1 + (random.randrange(4) if i > count // 2 else 0)):
            await tick()
    for _ in range(LrnLanes(rows=rows, lanes=lanes).latency + 1):
        await tick()
    assert got == [word.tobytes() for word in want]
