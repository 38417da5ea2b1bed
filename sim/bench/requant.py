"""cocotb: a requantise lane against the exact arithmetic, a value each cycle.

``bench.run(Requantise(), "penstock.sim.bench.requant", parameters={"count": 20000})``
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from penstock.hw.engines.requant import Requantise
from penstock.models.golden.fixed import requantise
from penstock.sim.bench.runner import parameters

__all__ = ["exact_ties", "random_values"]


async def check(dut: Any, values: NDArray[np.int64]) -> None:
    """Compare the lane's results for rows of acc, bias, multiplier, shift."""
    ports = (dut.acc, dut.bias, dut.multiplier, dut.shift)
    for port in ports:
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    acc, bias, multiplier, shift = values.T
    want = requantise(acc, bias, multiplier, shift).tolist()
    rows = values.tolist()
    for i in range(len(rows) + Requantise.LATENCY):
        for port, value in zip(ports, rows[min(i, len(rows) - 1)], strict=True):
            port.value = value
        await RisingEdge(dut.clk)
        # Sampled before the edge takes effect: this is the result from LATENCY edges before.
        k = i - Requantise.LATENCY
        if k >= 0:
            got = int(dut.y.value)
            assert got == want[k], f"{rows[k]}: {got}, not {want[k]}"


@cocotb.test()
async def random_values(dut: Any) -> None:
    """Sums and multipliers of all sizes at every shift."""
    rng = np.random.default_rng(random.randrange(1 << 32))
    n = parameters()["count"]
    bits = rng.integers(1, 32, n)
    acc = rng.integers(-(1 << bits), 1 << bits)
    bias = rng.integers(-(1 << 31), 1 << 31, n) >> rng.integers(0, 32, n)
    multiplier = rng.integers(0, 1 << 17, n) >> rng.integers(0, 17, n)
    await check(dut, np.stack([acc, bias, multiplier, rng.integers(0, 32, n)], axis=1))


@cocotb.test()
async def exact_ties(dut: Any) -> None:
    """Halves round to even, their neighbours to the nearest code, for every code and shift."""
    rows = []
    for shift in range(1, 32):
        # (2 * code + 1) * 2**(shift - 1) as a product whose multiplier fits.
        power = min(shift - 1, 16)
        for code in range(random.randrange(16), 257, 16):
            total = (2 * code + 1) << (shift - 1 - power)
            rows += [[total + d, 0, 1 << power, shift] for d in (-1, 0, 1)]
    await check(dut, np.array(rows))
