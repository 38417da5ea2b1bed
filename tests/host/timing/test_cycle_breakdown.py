"""Cycle breakdown: each cycle has exactly one cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.program.program import Program
from penstock.host.timing.cycle_breakdown import CAUSES, busy_cycles, cycle_breakdown
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from tests.support.netgen import make_conv, make_network

ARCH = get_arch("tiny")


@pytest.fixture(scope="module")
def program() -> Program:
    """Two convolutions: 6 of 8 channels of K and 6 of 8 columns used, then all of both."""
    rng = np.random.default_rng(0)
    geometry = ConvGeometry(kernel=(3, 3), stride=(1, 1), pad=(1, 1, 1, 1))
    first = make_conv(rng, "conv1", INPUT, 8, 6, geometry)
    second = make_conv(rng, "conv2", "conv1", 6, 8, geometry)
    third = make_conv(rng, "conv3", "conv2", 8, 8, geometry)
    return compile_network(make_network("three", (12, 12, 8), [first, second, third]), ARCH)


def steps(program: Program, ahead: tuple[int, ...]) -> list[dict[str, int]]:
    """Counts of layers that end when the array has processed so many words of the next one."""
    busy = busy_cycles(program)
    done = np.cumsum(busy) + np.array([*ahead, 0])
    return [
        {
            "cycles": int(words) + 60,
            "busy": int(words),
            "stall_input": 30,
            "stall_weights": 0,
            "stall_output": 10,
        }
        for words in np.diff([0, *done])
    ]


def test_busy_cycles(program: Program) -> None:
    words = 12 * 12 * 9
    assert busy_cycles(program) == [words * 2 * 2, words * 2 * 2, words * 2 * 2]
    assert sum(busy_cycles(program)) == sum(cost.busy for cost in predict(program, ARCH))


@pytest.mark.parametrize("ahead", [(0, 0), (100, 2000), (5000, 5000), (6000, 2000)])
def test_every_cycle_is_in_one_account(program: Program, ahead: tuple[int, ...]) -> None:
    counts = steps(program, ahead)
    found = cycle_breakdown(program, counts, ARCH)
    for step, parts in zip(counts, found, strict=True):
        assert list(parts) == list(CAUSES)
        assert sum(parts.values()) == step["cycles"]
        assert all(value >= 0 for value in parts.values())
        assert (parts["input"], parts["output"], parts["idle"]) == (30, 10, 20)
    useful = sum(parts["work"] + parts["ahead"] for parts in found)
    assert useful == pytest.approx(sum(info.macs for info in program.layers) / 16, abs=3)


def test_padding_is_what_has_no_weight(program: Program) -> None:
    first, second, third = cycle_breakdown(program, steps(program, (0, 0)), ARCH)
    words = 12 * 12 * 9 * 4
    assert first["padding"] == words // 4  # columns
    assert second["padding"] == words // 4  # rows
    assert third["padding"] == 0
    assert not any(parts["ahead"] for parts in (first, second, third))


def test_work_ahead_is_the_next_layers(program: Program) -> None:
    first, second, _ = cycle_breakdown(program, steps(program, (400, 0)), ARCH)
    assert first["ahead"] == 300  # three quarters of the second layer's words are useful
    assert second["work"] == 12 * 12 * 9 * 3 - 300


def test_a_batch_is_told_for_one_image(program: Program) -> None:
    once = cycle_breakdown(program, steps(program, (0, 0)), ARCH)
    half = [{name: n // 2 for name, n in step.items()} for step in steps(program, (0, 0))]
    twice = cycle_breakdown(replace(program, batch=2), half, ARCH)
    assert [parts["work"] for parts in twice] == [parts["work"] // 2 for parts in once]


def test_a_step_for_each_layer(program: Program) -> None:
    with pytest.raises(ValueError, match="3 layers, but 2 steps"):
        cycle_breakdown(program, steps(program, (0, 0))[:2], ARCH)
