# amaranth: UnusedElaboratable=no
"""Max pooling against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from penstock.hw.engines.pool import MaxPool
from penstock.sim.bench import runner


@pytest.mark.parametrize("rows", [0, -1, 2.5])
def test_wrong_rows(rows: object) -> None:
    with pytest.raises(ValueError, match="rows must be a positive integer, not"):
        MaxPool(rows=rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("gaps", [False, True])
def test_windows(seed: int, gaps: bool) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    dut = MaxPool(rows=3)
    got: list[bytes] = []
    want: list[bytes] = []
    at: list[int] = []
    cycle = 0

    async def testbench(ctx):
        nonlocal cycle

        async def tick() -> None:
            nonlocal cycle
            await ctx.tick()
            cycle += 1
            if ctx.get(dut.o_valid):
                got.append(ctx.get(dut.o_pixel).to_bytes(3, "little"))
                at.append(cycle)

        emitted = []
        for _ in range(12):
            kernel = int(rng.integers(1, 4))
            stride = int(rng.integers(1, 5))
            width = int(rng.integers(1, 6))
            columns = (width - 1) * stride + kernel
            image = rng.integers(0, 256, (kernel, columns, 3), dtype=np.uint8)
            want.extend(
                image[:, ox * stride : ox * stride + kernel].max((0, 1)).tobytes()
                for ox in range(width)
            )
            ctx.set(dut.kernel, kernel)
            for x in range(columns):
                for ky in range(kernel):
                    while gaps and rng.random() < 0.3:
                        # Inputs must be ignored while not valid.
                        ctx.set(dut.i_valid, 0)
                        junk = {name: int(rng.integers(2)) for name in ("first", "last", "emit")}
                        ctx.set(dut.i_control, junk)
                        ctx.set(dut.i_pixel, int(rng.integers(1 << 24)))
                        await tick()
                    emit = x >= kernel - 1 and (x - kernel + 1) % stride == 0
                    ctx.set(dut.i_valid, 1)
                    ctx.set(
                        dut.i_control,
                        {"first": ky == 0, "last": ky == kernel - 1, "emit": emit},
                    )
                    ctx.set(dut.i_pixel, int.from_bytes(image[ky, x].tobytes(), "little"))
                    if emit and ky == kernel - 1:
                        emitted.append(cycle + dut.LATENCY)
                    await tick()
            ctx.set(dut.i_valid, 0)
            for _ in range(dut.LATENCY):
                await tick()
        assert at == emitted

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(testbench)
    sim.run()
    assert got == want


def test_in_cocotb() -> None:
    runner.run(
        MaxPool(rows=16),
        "penstock.sim.bench.pool",
        simulator="icarus",
        parameters={"rows": 16, "maps": 10},
    )
