"""Figures of layers from the device's log, and from the cost model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import RunLog
from penstock.host.program.program import LayerInfo, Program
from penstock.host.report.json_report import layer_json
from penstock.host.report.layer_profile import measured_profile, predicted_profile
from penstock.host.timing import cycle_breakdown
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS
from tests.support.netgen import make_classifier

TINY = get_arch("tiny")
NAMES = [name for name, _ in LOG_FIELDS]
FIRST = dict(zip(NAMES, (1000, 800, 50, 40, 30, 60, 500, 100), strict=True))
SECOND = dict(zip(NAMES, (3000, 2700, 60, 50, 40, 70, 900, 300), strict=True))
TOTAL = dict(zip(NAMES, (3100, 2700, 60, 50, 40, 70, 950, 300), strict=True))


@pytest.fixture(scope="module")
def program() -> Program:
    """A program with two layers with the figures below."""
    made = compile_network(make_classifier(), TINY)
    names = [layer.name for layer in made.layers]
    layers = (LayerInfo("a", 12_000, ("a",)), LayerInfo("b", 24_000, ("b", "c")))
    second = iter(names)
    first = next(second)
    parts = tuple(("a" if layer == first else "b", part) for layer, part in made.parts)
    return replace(made, layers=layers, parts=parts)


def test_figures(program: Program) -> None:
    logs = [RunLog([FIRST, SECOND], TOTAL) for _ in range(2)]
    profile = measured_profile(program, logs, TINY, device="rtl")
    assert profile.title == "classifier on rtl, arch tiny (4x4)"
    assert [layer.cycles for layer in profile] == [1000, 2000]
    for layer in profile:
        parts = layer.breakdown
        assert layer.efficiency == (parts["work"] + parts["ahead"]) / layer.cycles
        assert layer.padding == layer.counts["busy"] - parts["work"] - parts["ahead"] > 0
    stalls = {"input": 50, "weights": 40, "output": 30, "memory": 60, "idle": 80}
    assert profile[0].stalls == stalls
    assert layer_json(profile["c"]) == {
        "name": "b",
        "macs": 24_000,
        "cycles": 2000,
        "efficiency": profile["b"].useful / 2000,
        "padding": profile["b"].breakdown["padding"],
        "stalls": {"input": 10, "weights": 10, "output": 10, "memory": 10, "idle": 70},
        "ddr_read_bytes": 3200,
        "ddr_write_bytes": 1600,
    }
    for layer in profile:
        assert list(layer.breakdown) == list(cycle_breakdown.CAUSES)
        assert sum(layer.breakdown.values()) == layer.cycles
    assert profile.total.cycles == 3100
    assert profile.total.efficiency == 36_000 / 16 / 3100
    assert profile.total.padding == sum(layer.breakdown["padding"] for layer in profile)
    assert profile.total.breakdown["ahead"] == 0
    assert sum(profile.total.breakdown.values()) == 3100
    assert profile.total.macs == 36_000
    with pytest.raises(ValueError, match=r"layer must be one of a, b, c .*, not 'd'"):
        profile["d"]
    with pytest.raises(ValueError, match="2 layers, but 1 entries"):
        measured_profile(program, [RunLog([FIRST], TOTAL)], TINY, device="rtl")
    with pytest.raises(ValueError, match="one run or more"):
        measured_profile(program, [], TINY, device="rtl")


def test_a_layer_that_the_array_did_before_its_time(program: Program) -> None:
    """Its own cycles are few, as the layer before ended late: no efficiency is beyond 100 %."""
    late = FIRST | {"cycles": 2900, "busy": 2600}
    profile = measured_profile(program, [RunLog([late, SECOND], TOTAL)], TINY, device="rtl")
    short = profile["b"]
    assert short.macs / (short.cycles * short.peak) > 10
    assert all(layer.efficiency is not None and layer.efficiency <= 1 for layer in profile)
    shown = [row[3] for row in profile.table().rows]
    written = [layer_json(layer)["efficiency"] for layer in profile]
    bars = [
        (layer.breakdown["work"] + layer.breakdown["ahead"]) / layer.cycles for layer in profile
    ]
    assert written == bars
    assert shown[:2] == [f"{100 * share:.1f} %" for share in bars]


def test_a_batch_has_one_log(program: Program) -> None:
    batched = replace(program, batch=5)
    logs = [RunLog([FIRST, SECOND], TOTAL)] * 5
    profile = measured_profile(batched, logs, TINY, device="rtl")
    assert [layer.cycles for layer in profile] == [200, 400]
    assert [layer.macs for layer in profile] == [2400, 4800]
    assert profile.total.cycles == 620


def test_tables(program: Program) -> None:
    profile = measured_profile(program, [RunLog([FIRST, SECOND], TOTAL)], TINY, device="rtl")
    lines = str(profile).splitlines()
    assert lines[0] == profile.title
    cells = " ".join(lines[3].split())
    first = profile["a"]
    share = f"{100 * first.useful / 1000:.1f} %"
    assert cells == f"a 12.0 k 1 000 {share} {first.padding} 50 40 30 60 80 4.0 kB 800 B"
    assert len(lines) == 7
    html = profile._repr_html_()
    assert html.count("<tr>") == 4
    assert "<caption>classifier on rtl" in html
    assert len(repr(profile)) < 100


def test_a_device_that_counts_nothing(program: Program) -> None:
    zeros = dict.fromkeys(NAMES, 0)
    log = RunLog([zeros, zeros], zeros)
    profile = measured_profile(program, [log], TINY, device="functional")
    assert not profile.counted
    assert [layer.efficiency for layer in profile] == [None, None]
    assert profile["a"].breakdown == {}
    with pytest.raises(ValueError, match=r"functional, arch tiny .*: this device counts no cycles"):
        profile.plot()


def test_predictions() -> None:
    program = compile_network(make_classifier(), TINY)
    profile = predicted_profile(program, TINY)
    assert len(profile) == len(program.layers)
    assert profile.counted
    assert profile.total.cycles == sum(layer.cycles for layer in profile)
    for layer in profile:
        assert min(layer.stalls.values()) >= 0
        assert "memory" not in layer.stalls
        assert sum(layer.breakdown.values()) == layer.cycles
    # The column of what is not predicted is empty.
    assert {row[9] for row in profile.table().rows} - {""}
    assert {row[8] for row in profile.table().rows} == {""}
