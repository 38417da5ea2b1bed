"""The requantise lane against the exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.hw.engines.requant import Requantise
from penstock.models.golden.fixed import requantise
from penstock.sim.bench import runner
from tests.support.hwsim import pass_through, run

Ints = NDArray[np.int64]


def run_lane(values: Ints) -> Ints:
    """Return the lane's results for rows of acc, bias, multiplier, shift, one a cycle."""
    dut = Requantise()
    results: list[int] = []

    async def testbench(ctx):
        ports = (dut.acc, dut.bias, dut.multiplier, dut.shift)
        results.extend(await pass_through(ctx, dut, ports, values))

    run(dut, testbench, cycles=len(values) + 1000)
    return np.array(results)


def check(values: Ints) -> None:
    got = run_lane(values)
    acc, bias, multiplier, shift = values.T
    want = requantise(acc, bias, multiplier, shift)
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), (
        f"{len(wrong)} wrong, first: acc, bias, multiplier, shift = {values[wrong[0]].tolist()}: "
        f"{got[wrong[0]]}, not {want[wrong[0]]}"
    )


@pytest.mark.parametrize("seed", [1])
def test_random(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 3000
    bits = rng.integers(1, 32, n)
    acc = rng.integers(-(1 << bits), 1 << bits)
    bias = rng.integers(-(1 << 31), 1 << 31, n) >> rng.integers(0, 32, n)
    multiplier = rng.integers(0, 1 << 17, n) >> rng.integers(0, 17, n)
    check(np.stack([acc, bias, multiplier, rng.integers(0, 32, n)], axis=1))


def test_boundaries() -> None:
    # At every shift: the sums around each change of the result near 0, 1, 2, 127 and 255, with
    # multipliers that make exact ties and with others.
    rows = []
    for shift in range(32):
        for multiplier in (1, 2, 3, 1 << 15, 0x18000, 0x1FFFF, max(1, (1 << shift) & 0x1FFFF)):
            for code in (0, 1, 2, 127, 254, 255, 256):
                tie = ((2 * code + 1) << shift) // (2 * multiplier)
                for total in (tie - 1, tie, tie + 1):
                    bias = min(total // 3, (1 << 31) - 1)
                    if total - bias < 1 << 31:
                        rows.append([total - bias, bias, multiplier, shift])
    check(np.array(rows))


def test_extremes() -> None:
    edges = [-(1 << 31), -1, 0, 1, (1 << 31) - 1]
    check(
        np.array(
            [
                [acc, bias, multiplier, shift]
                for acc in edges
                for bias in edges
                for multiplier in (0, 1, 0x1FFFF)
                for shift in (0, 1, 7, 8, 24, 31)
            ]
        )
    )


@pytest.mark.parametrize("simulator", runner.SIMULATORS)
def test_in_cocotb(simulator: str) -> None:
    runner.run(
        Requantise(),
        "penstock.sim.bench.requant",
        simulator=simulator,
        parameters={"count": 10_000},
    )
