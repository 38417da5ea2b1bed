"""Event simulation of whole programs: the time of each engine, and programs that hang."""

from __future__ import annotations

from math import inf

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.timing.clock import Work
from penstock.host.timing.event_simulation import EventSimulation, _shares
from penstock.host.timing.latencies import MEMORY, Memory
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Dest, Op
from tests.support.netgen import random_network, rng_of

LAB = get_arch("lab")
PARAMS, BLOCK = 16, 32


def program(blocks: int, positions: int, *, loaded: int = 100) -> list[Work]:
    """One tile: load, compute, drain, store."""
    load = {"dest": Dest.ACT, "plane_beats": loaded, "planes": 1, "row_beats": 2, "row_words": 1}
    conv = {"n_cb": blocks, "n_ky": 1, "n_kx": 1, "n_y": positions, "n_x": 1, "more_images": 0}
    weights = {"has_params": 1, "blocks": blocks, "beats": PARAMS + blocks * BLOCK}
    post = {"kernel": 1, "stride": 1, "lrn": 0, "y0": 0, "out_w": positions, "out_h": 1}
    return [
        Work(Op.LOAD, load, ()),
        Work(Op.WEIGHTS, weights, ()),
        Work(Op.CONV, {**conv, "first": 1, "last": 1}, ((Op.LOAD, 1),)),
        Work(Op.DRAIN, {"count": positions, "lane_groups": 4}, ()),
        Work(Op.POST, {**post, "beats": 2 * positions, "mark": 1}, ((Op.DRAIN, 1),)),
    ]


def simulate(work: list[Work], **memory: float) -> dict[str, float]:
    made = EventSimulation(work, LAB, Memory(**{"latency": 0, "rate": 1.0, **memory}))
    made.run()
    (entry,) = made.log
    return entry


def test_shares_are_fair() -> None:
    assert _shares([0.5, 0.0, 0.3, 0.1], 0.95) == [0.5, 0.0, 0.3, 0.1]
    assert _shares([1.0, 1.0, 0.0, 0.1], 0.95) == pytest.approx([0.425, 0.425, 0.0, 0.1])
    assert sum(_shares([1.0, 0.9, 0.8, 0.7], 0.95)) == pytest.approx(0.95)


def test_blocks_add_their_positions() -> None:
    short, long = (simulate(program(blocks, 100)) for blocks in (50, 80))
    assert long["cycles"] - short["cycles"] == pytest.approx(30 * 100)
    assert long["busy"] == pytest.approx(80 * 100)
    assert long["read_beats"] == 5 * 8 + 100 + PARAMS + 80 * BLOCK
    assert long["write_beats"] == 200


def test_weights_add_their_beats_where_they_are_late() -> None:
    short, long = (simulate(program(blocks, 36), rate=0.5) for blocks in (50, 80))
    assert long["cycles"] - short["cycles"] == pytest.approx(30 * BLOCK / 0.5, rel=0.02)
    assert long["busy"] == pytest.approx(80 * 36)
    assert long["stall_weights"] > 80 * (64 - 36) * 0.9


def test_the_array_waits_for_its_input() -> None:
    short, long = (simulate(program(10, 100, loaded=beats)) for beats in (1000, 3000))
    # Weights arrive meanwhile and take a share of the first beats.
    assert long["cycles"] - short["cycles"] == pytest.approx(2000)
    assert long["stall_input"] - short["stall_input"] == pytest.approx(2000)


def test_latency_counts_on_the_way_in_and_out() -> None:
    near, far = (simulate(program(10, 100), latency=latency)["cycles"] for latency in (0, 500))
    # The first descriptor, its data, and the last write's answer.
    assert far - near == pytest.approx(3 * 500, abs=20)


def test_a_simulation_stops_when_the_array_has_waited_too_long() -> None:
    work = program(10, 100, loaded=500)
    whole = EventSimulation(work, LAB, MEMORY)
    assert whole.run()
    # One tile, one CONV: before its first block the array waits for its input, then never.
    assert whole.array.lost == whole.array.begin
    for allowed, ends in ((whole.array.begin - 1, False), (whole.array.begin, True)):
        made = EventSimulation(work, LAB, MEMORY)
        assert made.run(allowed, from_start=True) is ends
        assert len(made.log) == ends
    # From the first block on nothing is lost.
    assert EventSimulation(work, LAB, MEMORY).run(0.0)


class Restless(EventSimulation):
    """Every engine is looked at in every event, whether it has been roused or not."""

    def _advance(self) -> None:
        super()._advance()
        for engine in self._engines:
            engine.wake = -inf


@pytest.mark.parametrize("arch", ["tiny", "lab", "12x32"])
@pytest.mark.parametrize("seed", range(6))
def test_engines_that_are_not_roused_have_nothing_to_do(seed: int, arch: str) -> None:
    made = get_arch(arch)
    compiled = compile_network(random_network(rng_of(seed)), made)
    logs = []
    for kind in (EventSimulation, Restless):
        simulation = kind(Work.stream(compiled.descriptors()), made, MEMORY)
        assert simulation.run()
        logs.append(simulation.log)
    assert logs[0] == logs[1]
    assert len(logs[0]) == len(compiled.layers)


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_a_program_that_hangs_is_found_out(missing: int) -> None:
    """Without its LOAD, WEIGHTS or DRAIN the rest never ends."""
    work = program(10, 100)
    del work[missing]
    with pytest.raises(ValueError, match="waits for a completion that never happens"):
        simulate(work)
