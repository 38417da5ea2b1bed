"""Deferred layers: pooling without a convolution, done in gaps of later layers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.emission.deferred import DeferredLayer, DeferredLayers, Unit
from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.planning.cost import predict
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.compiler.verify import verify
from penstock.host.program.allocator import Ring
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool, Network
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Op
from tests.support.netgen import make_conv, make_lrn, make_network, rng_of

LAB = get_arch("lab")


def network(*, lrn: bool = False) -> Network:
    """Pooling of a pooled map that is read only after two more convolutions."""
    rng = rng_of(1)
    same = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    layers: list[Layer] = [
        make_conv(rng, "a", INPUT, 16, 32, same),
        MaxPool(name="b", inputs=("a",), kernel=2, stride=2),
        make_conv(rng, "c", "b", 32, 64, same),
        make_conv(rng, "d", "c", 64, 32, same),
        MaxPool(name="e", inputs=("b",), kernel=3, stride=1, pad=(1, 1, 1, 1)),
        make_conv(rng, "f", "e", 32, 16, same),
    ]
    if lrn:
        layers.insert(4, make_lrn(rng, "n", "d"))
        layers.insert(5, make_lrn(rng, "m", "b"))
    return make_network("deferred", (40, 40, 16), layers)


def test_pooling_costs_no_time_of_its_own() -> None:
    program = compile_network(network(), LAB)
    verify(program, LAB)
    kinds = [
        (layer, op)
        for (op, _), (layer, _) in zip(program.descriptors(), program.parts, strict=True)
    ]
    last = len(kinds) - 1 - kinds[::-1].index(("e", Op.POST))
    # Between tiles of other layers, and long before it is needed.
    between = kinds[kinds.index(("e", Op.POST)) : last]
    assert {layer for layer, op in between if op is Op.CONV} & {"a", "c"}
    assert last < kinds.index(("d", Op.CONV))
    costs = predict(program, LAB)
    busy = sum(cost.busy for cost in costs)
    alone = next(c.plan for c in plan_network(network(), LAB) if c.plan.layer.name == "e")
    assert sum(cost.cycles for cost in costs) - busy < 5_000 + alone.layer.post_cycles(LAB) / 2


def test_log_entries_come_in_the_order_of_the_program() -> None:
    for lrn in (False, True):
        program = compile_network(network(lrn=lrn), LAB)
        verify(program, LAB)
        marked = [
            layer
            for (op, v), (layer, _) in zip(program.descriptors(), program.parts, strict=True)
            if op is Op.POST and v["mark"]
        ]
        assert marked == [layer.name for layer in program.layers]
        assert len(set(marked)) == len(marked)


def waiting(ring: Ring, sizes: list[int], ready: list[bool], plan: Plan) -> DeferredLayer:
    """A layer of units that take these many words and 100 cycles each."""

    def units() -> Iterator[Unit]:
        for index, words in enumerate(sizes):
            yield Unit(words, 100.0, lambda index=index: ready[index])
            region, _ = ring.take(words)
            region.release = 0

    return DeferredLayer(0, plan, units())


@pytest.fixture(name="plan")
def _plan() -> Plan:
    return plan_network(network(), LAB)[0].plan


def test_units_wait_for_time_source_and_room(plan: Plan) -> None:
    ring = Ring(100)
    deferred = DeferredLayers(ring)
    assert not deferred.due(0)
    ready = [False, True, True]
    deferred.queue.append(waiting(ring, [30, 30, 30], ready, plan))
    deferred.save(99)
    assert not deferred.due(40)
    deferred.save(10_000)
    assert not deferred.due(40)  # its source is not stored
    ready[0] = True
    held, _ = ring.take(20)
    assert not deferred.due(80)  # the convolution could need 80 words at once
    assert deferred.due(40)
    assert deferred.step() is None
    # Words between those of the convolution take its space: 40 + 30 + 30 fit, 41 do not.
    assert not deferred.due(41)
    assert deferred.due(40)
    assert deferred.step() is None
    deferred.save(500)
    assert not deferred.due(40)
    held.release = 1
    assert deferred.due(40)
    assert deferred.step() is not None
    assert not deferred.queue
    deferred.save(500)
    assert not deferred.due(0)
