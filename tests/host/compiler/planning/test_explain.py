"""Explanation of a plan: the candidates, the choice, and where layers could run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.host.compiler.compile import compile_choices, compile_network
from penstock.host.compiler.planning.explain import (
    COST_COLUMNS,
    cost_rows,
    explain,
    explain_placements,
    placements,
)
from penstock.host.compiler.planning.planner import plan_network
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool
from penstock.models.spec.arch import get_arch
from penstock.models.spec.number_format import grouped
from tests.support.netgen import (
    full_size_network,
    make_classifier,
    make_conv,
    make_lrn,
    make_network,
    rng_of,
)

LAB = get_arch("lab")


def number(text: str) -> int:
    return int(text.replace(" ", ""))


def test_explanation_names_what_was_taken() -> None:
    network = full_size_network()
    choices = plan_network(network, LAB)
    text = explain(choices, LAB)
    for choice in choices:
        assert f"* {choice.plan}" in text
    assert "direct, bands of" in text
    assert "its parts as layers of their own" in text
    assert "taken: the fewest bytes of those close to the fewest cycles" in text
    program = compile_choices(network, LAB, choices)
    rows = cost_rows(program)
    assert {len(row) for row in rows} == {len(COST_COLUMNS)}
    assert [row[0] for row in rows] == ["conv1", "conv2", "conv3", "conv4", "conv5", "total"]
    for column in ("cycles", "read", "written"):
        place = COST_COLUMNS.index(column)
        assert sum(map(number, [row[place] for row in rows[:-1]])) == number(rows[-1][place])
    assert program.layers[0].choice.startswith("row runs, bands of")


def test_explanation_of_a_split() -> None:
    rng = rng_of(3)
    layers: list[Layer] = [
        make_lrn(rng, "norm", INPUT),
        MaxPool(name="pool", inputs=("norm",), kernel=3, stride=1),
    ]
    text = explain(plan_network(make_network("again", (30, 30, 16), layers), LAB), LAB)
    assert "not in one layer with what follows: its parts are faster" in text


def test_programs_of_unknown_arches_have_no_costs() -> None:
    conv = make_conv(rng_of(1), "c", INPUT, 16, 16, ConvGeometry(kernel=(1, 1)))
    program = compile_network(make_network("one", (5, 5, 16), [conv]), LAB)
    assert len(cost_rows(program)) == 2
    assert cost_rows(replace(program, arch_name="attic")) == []


def test_placements_say_what_each_layer_costs() -> None:
    network = make_classifier()
    rows = placements(network, LAB, batch=4, mhz=50.0)
    assert [row.layer for row in rows] == ["fc2", "fc3", "fc4"]
    assert rows[2].cycles is None
    assert rows[2].cpu_seconds > 0
    for row in rows[:2]:
        assert row.cycles is not None
        assert row.array_seconds == row.cycles / 5e7
        # All weights at least once.
        assert row.bytes > network.layer(row.layer).weight.size
        assert row.cpu_seconds > 0
    text = explain_placements(rows, 4, 50.0)
    assert "4 images: on the array at 50 MHz" in text
    assert f"{grouped(rows[0].cycles)} " in text
    assert f"{rows[0].array_seconds * 1e3:.2f} ms" in text
    assert "only on the CPU" in text
    with pytest.raises(ValueError, match=r"mhz must be positive, not 0\.0"):
        placements(network, LAB, batch=4, mhz=0.0)


def test_networks_without_fully_connected_layers_have_no_placements() -> None:
    assert placements(full_size_network("nin"), LAB, batch=1) == []
