"""Sweeps: selection of arches, predictions, Pareto front, fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.explore.area import estimate_area
from penstock.host.explore.fit import Target, doubts, misfits
from penstock.host.explore.pareto import front
from penstock.host.explore.points import mark_front, points_of
from penstock.host.explore.space import arches
from penstock.host.explore.sweep import memory_at, sweep
from penstock.host.inputs.catalog import load_network
from penstock.host.timing.latencies import MEMORY
from penstock.hw.boards.catalog import BOARDS
from penstock.models.spec.arch import ARCHES, get_arch
from penstock.models.spec.devices import DEVICES, get_device

TINY = ARCHES["tiny"]


def test_space_is_every_combination_once() -> None:
    space = arches(TINY, [(4, 4), (8, 4)], {"act_words": [1024, 2048], "drain_lanes": [1, 2]})
    assert len(space.arches) == 8
    assert len({arch.fingerprint for arch in space.arches}) == 8
    assert {arch.name for arch in space.arches} >= {"4x4-a1024-d1", "8x4-a2048-d2"}
    assert not space.impossible
    assert all(arch.psum_words == TINY.psum_words for arch in space.arches)


def test_what_cannot_be_is_told_with_its_reason() -> None:
    space = arches(TINY, [(3, 3), (4, 4)], {"drain_lanes": [2, 3]})
    assert [arch.name for arch in space.arches] == ["4x4-d2"]
    reasons = dict(space.impossible)
    assert "must be a multiple of 8, not 9" in reasons["3x3, drain_lanes 2"]
    assert "power of two that divides" in reasons["4x4, drain_lanes 3"]


def test_lanes_and_weight_fifo_follow_the_array() -> None:
    (arch,) = arches(ARCHES["ulx3s-85f"], [(64, 9)], {}).arches
    assert (arch.drain_lanes, arch.lrn_lanes, arch.wgt_words) == (1, 1, 512)
    (arch,) = arches(TINY, [(64, 8)], {}).arches
    assert arch.wgt_words == 128


def test_predictions_are_the_cost_models() -> None:
    large = replace(get_arch("8x8"), name="large")
    small = replace(TINY, name="small", act_words=2, psum_words=2, out_words=2)
    slow = memory_at(200, megabytes=400, nanoseconds=500)
    for jobs in (1, 2):
        counts: list[int] = []
        found = sweep(["tiny"], [TINY, large, small], [MEMORY, slow], jobs=jobs, done=counts.append)
        assert counts == [1, 2, 3]
        assert [outcome.arch for outcome in found] == [TINY, large, small]
        assert found[2].refused
        assert not found[2].estimates
        for outcome in found[:2]:
            program = compile_network(load_network("tiny"), outcome.arch)
            for (estimate,), memory in zip(outcome.estimates, (MEMORY, slow), strict=True):
                costs = predict(program, outcome.arch, memory)
                assert estimate.cycles == sum(cost.cycles for cost in costs)
                assert estimate.bytes == sum(c.read_bytes + c.write_bytes for c in costs)
            assert outcome.estimates[1][0].cycles > outcome.estimates[0][0].cycles


def test_memory_in_its_own_units() -> None:
    assert memory_at(100, megabytes=None, nanoseconds=None) == MEMORY
    slow = memory_at(200, megabytes=800, nanoseconds=150)
    assert (slow.rate, slow.latency) == (0.5, 30)
    assert memory_at(10, megabytes=10000, nanoseconds=None).rate == MEMORY.rate
    with pytest.raises(ValueError, match="memory rate must be positive, not 0"):
        memory_at(100, megabytes=0, nanoseconds=None)
    with pytest.raises(ValueError, match="clock must be positive"):
        memory_at(0, megabytes=None, nanoseconds=None)


def test_front() -> None:
    assert front([(1, 2), (2, 1), (2, 2), (1, 2)]) == [True, True, False, True]
    assert front([]) == []


def test_points_are_sorted_and_the_slower_clock_is_beaten() -> None:
    found = sweep(["tiny"], [TINY], [MEMORY, MEMORY], jobs=1)
    points = mark_front(points_of(found, [50, 100], lambda arch: estimate_area(arch, "xc7")))
    assert [(point.mhz, point.front) for point in points] == [(100, True), (50, False)]
    assert points[0].rate == pytest.approx(2 * points[1].rate)
    assert points[0].rates == [points[0].rate]
    assert 0 < points[0].efficiency < 1


def test_what_does_not_fit_says_what_of_how_many() -> None:
    target = Target.of(get_device("LFE5U-25F-6BG381C"), "other")
    assert misfits(get_arch("12x12"), target)[0] == "it takes 160 DSP of 28"
    assert not misfits(TINY, target)
    assert not misfits(get_arch("64x64"), Target("xc7"))


def test_an_estimate_within_its_error_is_a_doubt_and_no_refusal() -> None:
    arch = get_arch("8x8")
    area = estimate_area(arch, "xc7")
    plenty = {"DSP": 1000, "RAMB36": 1000, "FF": area.ff}
    near = Target("xc7", {**plenty, "LUT": area.lut - 1})
    far = Target("xc7", {**plenty, "LUT": area.lut // 2})
    assert not misfits(arch, near)
    assert doubts(arch, near) == [f"about {area.lut} LUT of {area.lut - 1} (an estimate)"]
    assert misfits(arch, far) == [f"it takes about {area.lut} LUT of {area.lut // 2} (an estimate)"]


def test_devices_by_part_number() -> None:
    assert get_device("xc7z020clg400-1").name == "XC7Z020"
    assert get_device("LFE5U-85F-6BG381C").resources["DSP"] == 156
    with pytest.raises(ValueError, match="'xcvu9p' is of no FPGA known here"):
        get_device("xcvu9p")
    assert len({device.name for device in DEVICES}) == len(DEVICES)


def test_devices_are_what_the_boards_say() -> None:
    for board in BOARDS.values():
        assert dict(get_device(board.part).resources) == dict(board.resources), board.name
        target = Target.of(get_device(board.part), board.name)
        assert not misfits(board.preset, target), board.name
