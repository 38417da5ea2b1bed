"""The planner: split chains, batched images, cycles of whole networks."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.planning import planner
from penstock.host.compiler.planning.cost import LayerCost, predict
from penstock.host.compiler.planning.planner import plan_network
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool
from penstock.models.spec.arch import Arch, get_arch
from tests.support.netgen import full_size_network, make_conv, make_lrn, make_network, rng_of

LAB = get_arch("lab")


def efficiency(costs: list[LayerCost], arch: Arch) -> float:
    """Share of the peak over all layers."""
    macs = sum(cost.macs for cost in costs)
    return macs / sum(cost.cycles for cost in costs) / arch.macs_per_cycle


def moved(costs: list[LayerCost]) -> int:
    return sum(cost.read_bytes + cost.write_bytes for cost in costs)


@pytest.mark.parametrize("name", ["alexnet", "nin"])
def test_all_layers_are_planned_in_order(name: str) -> None:
    network = full_size_network(name)
    choices = plan_network(network, LAB)
    covered = [part for choice in choices for part in choice.plan.layer.covers]
    assert covered == [layer.name for layer in network.layers]
    assert len(choices) == len(chains(network))
    for choice in choices:
        assert choice.plan.fits(LAB)
        assert not choice.refused
        assert (choice.apart_estimate is None) == (len(choice.plan.layer.covers) == 1)
        if choice.apart is not None:
            best = choice.candidates[0].cost
            assert best is not None
            assert choice.apart.cycles >= best.cycles + best.tail


@pytest.mark.parametrize("name", ["alexnet", "nin"])
def test_parts_that_are_not_timed_are_slower(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans ruled out by the estimate are ruled out by the cost model as well."""
    network = full_size_network(name)

    def names(choices: list[planner.Choice]) -> list[tuple[str, str]]:
        return [(choice.plan.layer.name, str(choice.plan)) for choice in choices]

    quick = plan_network(network, LAB)
    monkeypatch.setattr(planner, "WORTH", inf)
    choices = plan_network(network, LAB)
    assert names(choices) == names(quick)
    assert [choice.apart is None for choice in choices] != [
        choice.apart is None for choice in quick
    ]
    assert all((choice.apart is None) == (len(choice.plan.layer.covers) == 1) for choice in choices)


def test_layers_are_split_when_that_is_faster() -> None:
    """LRN before a pooling window that overlaps itself normalises every pixel several times."""
    rng = rng_of(3)
    layers: list[Layer] = [
        make_lrn(rng, "norm", INPUT),
        MaxPool(name="pool", inputs=("norm",), kernel=3, stride=1),
    ]
    choices = plan_network(make_network("again", (30, 30, 16), layers), LAB)
    assert [choice.plan.layer.name for choice in choices] == ["norm", "pool"]
    assert choices[0].refused == "its parts are faster one after the other"
    assert choices[1].refused == ""


def test_full_size_stays_within_the_bytes_of_the_goal() -> None:
    costs = predict(compile_network(full_size_network(), LAB), LAB)
    assert moved(costs) <= 3_600_000
    assert all(cost.efficiency(LAB) > 0.96 for cost in costs)
    assert efficiency(costs, LAB) > 0.99


@pytest.mark.parametrize(("arch", "least"), [("lab", 0.99), ("12x32", 0.90)])
def test_network_in_network_keeps_the_array_busy(arch: str, least: float) -> None:
    """At 12x32 the late layers' weights take the bus longer than the array."""
    made = get_arch(arch)
    assert efficiency(predict(compile_network(full_size_network("nin"), made), made), made) > least


def test_batches_read_weights_once_for_several_images() -> None:
    network = full_size_network()
    costs = {n: predict(compile_network(network, LAB, batch=n), LAB) for n in (1, 6)}
    for one, six in zip(costs[1], costs[6], strict=True):
        assert six.cycles < 6 * 1.02 * one.cycles
        if one.name in ("conv3", "conv4", "conv5"):
            assert six.read_bytes < 3 * one.read_bytes
    assert moved(costs[6]) < 0.6 * 6 * moved(costs[1])
    # No gap between the images: the array is almost never idle.
    assert efficiency(costs[6], LAB) > 0.995
    assert sum(cost.cycles for cost in costs[6]) <= 6 * sum(cost.cycles for cost in costs[1])


def test_wrong_batches_are_refused() -> None:
    rng = np.random.default_rng(1)
    network = make_network(
        "small", (4, 4, 16), [make_conv(rng, "a", INPUT, 16, 8, ConvGeometry(kernel=(1, 1)))]
    )
    for batch in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"batch must be a positive integer, not {batch}"):
            plan_network(network, LAB, batch=batch)
