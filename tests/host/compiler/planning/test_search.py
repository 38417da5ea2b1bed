"""The search for a plan: its candidates and its choice."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.lowering.lower import HardwareLayer, lowerings
from penstock.host.compiler.planning import search
from penstock.host.compiler.planning.bounds import bound, cover
from penstock.host.compiler.planning.cost import PlanCost
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.compiler.planning.search import candidates, choose, estimate, fitting
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import Arch, get_arch
from tests.support.netgen import full_size_network, make_conv, make_network, rng_of

LAB = get_arch("lab")


def single(name: str, index: int) -> list[HardwareLayer]:
    """The lowerings of a full-size network's chain."""
    network = full_size_network(name)
    return lowerings(chains(network)[index], LAB)


@pytest.mark.parametrize("batch", [1, 5])
def test_candidates_cover_all_rows_of_all_images(batch: int) -> None:
    ways = single("alexnet", 3)
    found = candidates(ways[0], LAB, batch)
    assert len(found) > 5
    for plan in found:
        assert sum(band.rows for band in plan.bands) == 13
        assert plan.batch == batch
        # 1024 positions hold six images of 13x13.
        assert max(plan.image_groups) <= 6
        assert len(plan.bands) == 1 or set(plan.image_groups) == {1}
    assert {max(plan.image_groups) for plan in found} == ({1} if batch == 1 else {1, 2, 3, 5})


@pytest.mark.parametrize("index", range(5))
def test_estimates_are_close_enough_to_rank(index: int) -> None:
    ways = single("alexnet", index)
    for candidate in choose(fitting(ways, LAB, 1), LAB):
        assert candidate.estimate == estimate(candidate.plan, LAB)
        assert bound(candidate.plan, LAB) <= candidate.estimate
        if candidate.cost is not None:
            assert bound(candidate.plan, LAB) <= candidate.cost.cycles * 1.001
            assert candidate.cost.cycles == pytest.approx(candidate.estimate, rel=0.05)


def test_bound_and_cover_are_blocks_times_positions() -> None:
    ways = single("alexnet", 2)
    plan = fitting(ways, LAB, 1)[0].plan
    assert [band.rows for band in plan.bands] == [13]
    # 24 tiles of 16 planes and 9 window positions; the first tile needs the last plane last.
    assert bound(plan, LAB) == 24 * 16 * 9 * 169
    assert cover(plan, LAB) == 15 * 9 * 169
    first = single("alexnet", 0)
    assert cover(fitting(first, LAB, 1)[0].plan, LAB) == 0


@pytest.mark.parametrize(
    ("name", "arch"),
    [("alexnet", "lab"), ("alexnet", "8x8"), ("alexnet", "12x32"), ("nin", "12x32")],
)
def test_the_plan_taken_is_the_best_of_those_timed(name: str, arch: str) -> None:
    for choice in plan_network(full_size_network(name), get_arch(arch)):
        best = choice.candidates[0]
        assert best.cost is not None
        for other in choice.candidates[1:]:
            if other.cost is None:
                continue
            assert best.cycles <= other.cycles * 1.0031
            if other.cycles < best.cycles:
                assert best.cost.bytes <= other.cost.bytes


@pytest.mark.parametrize(
    ("name", "arch"),
    [("alexnet", "lab"), ("nin", "lab"), ("nin", "12x32"), ("nin", "ulx3s-85f")],
)
def test_timing_only_what_may_win_takes_the_same_plans(
    name: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against all timings complete; `nin` has layers whose best changes while others wait."""
    network, made = full_size_network(name), get_arch(arch)

    def plans() -> list[tuple[str, str, float]]:
        choices = plan_network(network, made)
        return [(c.plan.layer.name, str(c.plan), c.candidates[0].cycles) for c in choices]

    whole = search.time_plan
    stopped = []

    def watched(plan: Plan, arch: Arch, *, most: float) -> PlanCost | None:
        cost = whole(plan, arch, most=most)
        stopped.append(cost is None)
        return cost

    monkeypatch.setattr(search, "time_plan", watched)
    quick = plans()
    assert any(stopped)
    monkeypatch.setattr(search, "time_plan", lambda plan, arch, most: whole(plan, arch))
    assert plans() == quick


def test_plans_that_cannot_be_written_are_refused() -> None:
    conv = make_conv(rng_of(1), "tall", INPUT, 4, 1, ConvGeometry(kernel=(1, 1), stride=(300, 1)))
    network = make_network("tall", (400, 1, 4), [conv])
    with pytest.raises(CompileError, match="stride_y must be from 0 to 255"):
        compile_network(network, get_arch("tiny"))


def test_all_that_is_cut_alike_is_looked_at_once() -> None:
    ways = single("alexnet", 1)
    found = fitting(ways, LAB, 1)
    cuts = [tuple(candidate.plan.rows) for candidate in found]
    assert len(cuts) == len(set(cuts))
    estimates = [candidate.estimate for candidate in found]
    assert estimates == sorted(estimates)
    assert all(candidate.plan.fits(LAB) for candidate in found)
    assert np.isfinite(estimates).all()
