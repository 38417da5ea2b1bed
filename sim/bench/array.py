"""cocotb: the systolic array, weight blocks one after the other, against matrix products.

``bench.run(SystolicArray(rows=4, cols=4), "penstock.sim.bench.array", parameters={"rows": 4,
"cols": 4, "blocks": 40, "packed": False})``; with ``packed`` the device is a `PackedArray`.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from penstock.hw.array.packed import PackedArray
from penstock.hw.array.systolic import SystolicArray
from penstock.sim.bench.runner import parameters

__all__ = ["blocks_at_random", "blocks_back_to_back"]

Ints = NDArray[np.int64]


@dataclass
class _Schedule:
    """Stimulus of the array by cycle; the sums of a word without a block are undefined.

    Members
    -------
    acts : list of int64 arrays (rows,)
    swaps : set of cycles
    rows_in : dict
        Row of weights by cycle of its shift, int64 array (cols,).
    blocks : list of (int64 array (rows, cols) or None)
        The block that each cycle's word is multiplied by.
    """

    acts: list[Ints] = field(default_factory=list)
    swaps: set[int] = field(default_factory=set)
    rows_in: dict[int, Ints] = field(default_factory=dict)
    blocks: list[Ints | None] = field(default_factory=list)


Array = SystolicArray | PackedArray


def plan(array: Array, count: int, gap: float) -> _Schedule:
    """Swap in `count` blocks; each shift and swap is delayed with probability `gap` per cycle.

    Without delays, blocks follow each other as fast as the array allows.
    """
    rng = np.random.default_rng(random.randrange(1 << 32))
    rows, cols = array.rows, array.cols
    schedule = _Schedule()
    current: Ints | None = None

    def tick() -> None:
        word = rng.integers(0, 256, rows)
        if rng.random() < 0.1:
            word[:] = rng.choice([0, 255])
        schedule.acts.append(word)
        schedule.blocks.append(current)

    def pause() -> None:
        while rng.random() < gap:
            tick()

    for _ in range(count):
        block = rng.integers(-128, 128, (rows, cols))
        if rng.random() < 0.1:
            block[:] = rng.choice([-128, 127])
        for row in block[::-1]:
            pause()
            schedule.rows_in[len(schedule.acts)] = row
            tick()
        pause()
        current = block
        schedule.swaps.add(len(schedule.acts))
        # The cycle of the swap is the first in which the chains must not shift.
        for _ in range(array.swap_hold):
            tick()
    for _ in range(array.latency + cols):
        tick()
    return schedule


async def check(dut: Any, array: Array, schedule: _Schedule) -> None:
    """Drive the schedule and compare every column's sum of every word, bubbles included."""
    acts = [getattr(dut, f"act__{r}") for r in range(array.rows)]
    weights = [getattr(dut, f"wgt__{c}") for c in range(array.cols)]
    sums = [getattr(dut, f"sums__{c}") for c in range(array.cols)]
    for port in (*acts, *weights, dut.swap, dut.shift):
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    want: list[Ints | None] = [
        None if block is None else word @ block
        for word, block in zip(schedule.acts, schedule.blocks, strict=True)
    ]
    compared = 0
    for now, word in enumerate(schedule.acts):
        for port, value in zip(acts, word.tolist(), strict=True):
            port.value = value
        row = schedule.rows_in.get(now)
        for c, port in enumerate(weights):
            # Without a shift this input is ignored.
            port.value = random.randint(-128, 127) if row is None else int(row[c])
        dut.shift.value = row is not None
        dut.swap.value = now in schedule.swaps
        await RisingEdge(dut.clk)
        # Sampled before the edge takes effect: these sums belong to the words `latency` edges
        # before.
        for c, port in enumerate(sums):
            k = now - array.latency - c // array.group
            expected = want[k] if k >= 0 else None
            if expected is not None:
                got = port.value.to_signed()
                assert got == expected[c], (
                    f"word {k}, column {c}: {got}, not {expected[c]}; swaps at "
                    f"{sorted(s for s in schedule.swaps if abs(s - k) < 4 * array.rows)}"
                )
                compared += 1
    assert compared >= len(schedule.swaps) * array.cols


def _array() -> Array:
    make = PackedArray if parameters()["packed"] else SystolicArray
    return make(rows=parameters()["rows"], cols=parameters()["cols"])


@cocotb.test()
async def blocks_back_to_back(dut: Any) -> None:
    """Blocks at the full rate: the rows of the next one follow as early as possible."""
    array = _array()
    schedule = plan(array, parameters()["blocks"], 0.0)
    swaps = sorted(schedule.swaps)
    assert {b - a for a, b in itertools.pairwise(swaps)} == {array.rows + array.swap_hold}
    await check(dut, array, schedule)


@cocotb.test()
async def blocks_at_random(dut: Any) -> None:
    """Blocks with random delays."""
    array = _array()
    await check(dut, array, plan(array, parameters()["blocks"], random.choice((0.1, 0.5))))
