"""Explanation of a plan: the candidates, the choice, and where layers could run."""

from __future__ import annotations

import pytest

from penstock.host.compiler.compile import compile_choices
from penstock.host.compiler.planning.explain import (
    PLACEMENT_COLUMNS,
    explain,
    explain_placements,
    placement_rows,
    placements,
)
from penstock.host.compiler.planning.planner import plan_network
from penstock.models.graph.graph import INPUT, Layer, MaxPool
from penstock.models.spec.arch import get_arch
from penstock.models.spec.number_format import grouped
from tests.support.netgen import (
    full_size_network,
    make_classifier,
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
    found = explain(choices, LAB)
    for choice, explanation in zip(choices, found, strict=True):
        assert explanation.layer.startswith(f"{choice.plan.layer.name}: ")
        assert {len(row) for row in explanation.rows} == {len(explanation.columns)}
        marked = [row for row in explanation.rows if row[0] == "*"]
        assert marked == [explanation.rows[0]]
        cost = choice.candidates[0].cost
        assert cost is not None
        assert marked[0][1:3] == (str(choice.plan), grouped(cost.cycles))
    text = str(found)
    assert "direct, bands of" in text
    assert "its parts as layers of their own" in text
    assert "taken: the fewest bytes of those close to the fewest cycles" in text
    program = compile_choices(network, LAB, choices)
    assert program.layers[0].choice.startswith("row runs, bands of")


def test_explanation_of_a_split() -> None:
    rng = rng_of(3)
    layers: list[Layer] = [
        make_lrn(rng, "norm", INPUT),
        MaxPool(name="pool", inputs=("norm",), kernel=3, stride=1),
    ]
    found = explain(plan_network(make_network("again", (30, 30, 16), layers), LAB), LAB)
    assert found[0].notes[0].startswith("not in one layer with what follows: its parts are faster")


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
    assert "4 images: on the array at 50 MHz" in explain_placements(4, 50.0)
    cells = placement_rows(rows)
    assert {len(row) for row in cells} == {len(PLACEMENT_COLUMNS)}
    array = f"{rows[0].array_seconds * 1e3:.2f} ms"
    assert cells[0][1:4] == (grouped(rows[0].cycles), grouped(rows[0].bytes), array)
    assert cells[2][3] == "only on the CPU"
    with pytest.raises(ValueError, match=r"mhz must be positive, not 0\.0"):
        placements(network, LAB, batch=4, mhz=0.0)


def test_networks_without_fully_connected_layers_have_no_placements() -> None:
    assert placements(full_size_network("nin"), LAB, batch=1) == []
