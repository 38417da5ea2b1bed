"""Bounds of a plan: the cost model never finds less."""

from __future__ import annotations

import pytest

from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.lowering.lower import lowerings
from penstock.host.compiler.planning.bounds import bound, least_bytes, least_tail
from penstock.host.compiler.planning.cost import time_plan
from penstock.host.compiler.planning.search import fitting
from penstock.host.timing.clock import TINY
from penstock.models.spec.arch import get_arch
from tests.support.netgen import full_size_network, random_network, rng_of


@pytest.mark.parametrize("arch", ["tiny", "lab", "12x32"])
@pytest.mark.parametrize("seed", range(8))
def test_no_plan_needs_less(seed: int, arch: str) -> None:
    made = get_arch(arch)
    seen = 0
    for chain in chains(random_network(rng_of(seed))):
        for candidate in fitting(lowerings(chain, made), made, 1):
            plan = candidate.plan
            if not plan.tiles:
                continue
            cost = time_plan(plan, made)
            assert bound(plan, made) <= cost.cycles + TINY
            assert least_tail(plan, made) <= cost.tail + TINY
            assert least_bytes(plan, made) <= cost.bytes
            seen += 1
    assert seen


@pytest.mark.parametrize("index", range(5))
def test_bounds_are_close_where_nothing_waits(index: int) -> None:
    made = get_arch("lab")
    chain = chains(full_size_network())[index]
    plan = fitting(lowerings(chain, made), made, 1)[0].plan
    cost = time_plan(plan, made)
    assert bound(plan, made) > 0.96 * cost.cycles
    assert least_bytes(plan, made) > 0.9 * cost.bytes
    assert least_tail(plan, made) > 0.4 * cost.tail


def test_a_timing_is_given_up_only_beyond_what_was_asked() -> None:
    made = get_arch("lab")
    chain = chains(full_size_network())[0]
    plan = fitting(lowerings(chain, made), made, 1)[0].plan
    cost = time_plan(plan, made)
    assert time_plan(plan, made, most=cost.cycles + TINY) == cost
    assert time_plan(plan, made, most=bound(plan, made)) is None
    assert time_plan(plan, made, most=bound(plan, made) - 1) is None
