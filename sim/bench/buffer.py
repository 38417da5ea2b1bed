"""cocotb: a buffer, written and read at random, against a list.

``bench.run(Buffer(depth=64, width=16), "penstock.sim.bench.buffer", parameters={"depth": 64,
"width": 16, "granularity": 16, "cycles": 2000})``
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from penstock.hw.lib.buffer import READ_LATENCY
from penstock.sim.bench.runner import parameters

__all__ = ["writes_and_reads"]


@cocotb.test()
async def writes_and_reads(dut: Any) -> None:
    """Reads give what was written before; without a read the output holds.

    With ``collisions``, words are also read in the cycle that writes them; that returns the old
    word.
    """
    sizes = parameters()
    collisions = sizes.get("collisions", False)
    depth, width, granularity = sizes["depth"], sizes["width"], sizes["granularity"]
    granules = width // granularity
    for port in (dut.w__en, dut.w__addr, dut.w__data, dut.r__en, dut.r__addr):
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0

    # Few addresses at a time, spread over the memory, so that most reads hit a written word.
    addresses = [0, depth - 1, *(random.randrange(depth) for _ in range(30))]
    memory = dict.fromkeys(range(depth), 0)
    coming: deque[int | None] = deque([None] * READ_LATENCY)
    shown: int | None = None
    compared = 0
    for _ in range(sizes["cycles"]):
        enables = random.choice([0, 0, (1 << granules) - 1, random.randrange(1 << granules)])
        written, read = random.choice(addresses), random.choice(addresses)
        value = random.getrandbits(width)
        reads = random.random() < 0.7 and (collisions or read != written or not enables)
        dut.w__en.value = enables
        dut.w__addr.value = written
        dut.w__data.value = value
        dut.r__en.value = reads
        dut.r__addr.value = read
        coming.append(memory[read] if reads else None)
        for k in range(granules):
            if enables >> k & 1:
                mask = (1 << granularity) - 1 << k * granularity
                memory[written] = memory[written] & ~mask | value & mask
        await RisingEdge(dut.clk)
        arrived = coming.popleft()
        shown = shown if arrived is None else arrived
        if shown is not None:
            got = int(dut.r__data.value)
            assert got == shown, f"{got:x}, not {shown:x}"
            compared += 1
    assert compared > sizes["cycles"] // 2
