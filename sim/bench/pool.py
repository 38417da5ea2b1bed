"""cocotb: max pooling of random feature maps against NumPy, with gaps between the pixels.

``bench.run(MaxPool(rows=16), "penstock.sim.bench.pool", parameters={"rows": 16, "maps": 10})``
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from penstock.hw.engines.pool import MaxPool
from penstock.sim.bench.runner import parameters

__all__ = ["feature_maps"]


@cocotb.test()
async def feature_maps(dut: Any) -> None:
    """Every kernel and several strides, over consecutive full rows."""
    rows, maps = parameters()["rows"], parameters()["maps"]
    rng = np.random.default_rng(random.randrange(1 << 32))
    got: list[bytes] = []

    async def tick() -> None:
        await RisingEdge(dut.clk)
        if dut.o_valid.value:
            got.append(int(dut.o_pixel.value).to_bytes(rows, "little"))

    dut.i_valid.value = 0
    dut.i_control.value = 0
    dut.i_pixel.value = 0
    dut.kernel.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    for _ in range(maps):
        kernel, stride = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        height, width = int(rng.integers(1, 4)), int(rng.integers(1, 14))
        shape = ((height - 1) * stride + kernel, (width - 1) * stride + kernel, rows)
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        gap = float(rng.choice([0.0, 0.4]))
        want = []
        got.clear()
        dut.kernel.value = kernel
        for y in range(0, height * stride, stride):
            for x in range(shape[1]):
                done = x - kernel + 1
                emit = done >= 0 and done % stride == 0
                if emit:
                    want.append(image[y : y + kernel, done : done + kernel].max((0, 1)).tobytes())
                for ky in range(kernel):
                    while rng.random() < gap:
                        dut.i_valid.value = 0
                        await tick()
                    # pool_control: first, last, emit.
                    control = (ky == 0) | (ky == kernel - 1) << 1 | emit << 2
                    dut.i_valid.value = 1
                    dut.i_control.value = control
                    dut.i_pixel.value = int.from_bytes(image[y + ky, x].tobytes(), "little")
                    await tick()
        dut.i_valid.value = 0
        for _ in range(MaxPool.LATENCY + 1):
            await tick()
        assert got == want, f"kernel {kernel}, stride {stride}, {height} rows of {width}"
