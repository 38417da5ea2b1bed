"""The read ports of the event simulation, each alone: order, rate, and stalls."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from penstock.host.timing.clock import Clock, Work
from penstock.host.timing.latencies import Memory, Timing
from penstock.host.timing.read_ports import Fetch, Loads, Weights
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Dest, Op

LAB = get_arch("lab")


def make_clock(queue_depth: int = 8) -> Clock:
    return Clock(Timing(replace(LAB, queue_depth=queue_depth), Memory(latency=0, rate=1.0)))


def go_on(clock: Clock, port: Fetch | Loads, rate: float = 1.0) -> bool:
    """Settle a port, then go to its next event; return whether there was one."""
    port.wake = inf
    while port.settle():
        pass
    wanted = min(port.demand(), rate)
    cycles = min(port.until(wanted), port.wake - clock.now)
    if cycles == inf:
        return False
    clock.now += cycles
    port.advance(wanted * cycles)
    return True


def load(beats: int, planes: int = 1) -> Work:
    values = {
        "dest": Dest.ACT,
        "plane_beats": beats,
        "planes": planes,
        "row_beats": 2,
        "row_words": 1,
    }
    return Work(Op.LOAD, values, ())


def weights(blocks: int, *, has_params: int = 1) -> Work:
    beats = has_params * 16 + blocks * 32
    return Work(Op.WEIGHTS, {"has_params": has_params, "blocks": blocks, "beats": beats}, ())


def test_descriptors_are_handed_out_in_order_and_apart() -> None:
    clock = make_clock()
    work = [Work(op, {}, ()) for op in (Op.LOAD, Op.CONV, Op.LOAD)]
    fetch = Fetch(clock, work)
    while go_on(clock, fetch):
        pass
    assert fetch.done
    assert [item for item, _ in clock.queues[Op.LOAD]] == [work[0], work[2]]
    moments = [clock.queues[op][0][1] for op in (Op.LOAD, Op.CONV)]
    # 8 beats, then the way out; the next one comes no sooner than the collector is free.
    assert moments[0] == pytest.approx(8 + clock.timing.hand_out + clock.timing.gate)
    assert moments[1] - moments[0] == pytest.approx(clock.timing.between)
    assert fetch.position == 3 * 8


def test_a_full_queue_holds_up_all_behind_it() -> None:
    clock = make_clock(queue_depth=2)
    fetch = Fetch(clock, [*[Work(Op.LOAD, {}, ())] * 5, Work(Op.CONV, {}, ())])
    while go_on(clock, fetch):
        pass
    # Two and the output register; the CONV could start, but follows in order.
    assert fetch.handed == 3
    assert not clock.queues[Op.CONV]
    clock.queues[Op.LOAD].clear()
    while go_on(clock, fetch):
        pass
    assert len(clock.queues[Op.CONV]) == 1


def test_loads_follow_each_other_without_a_gap() -> None:
    clock = make_clock()
    loads = Loads(clock)
    clock.queues[Op.LOAD].extend([(load(1000), 0.0), (load(500, planes=2), 0.0)])
    while go_on(clock, loads):
        pass
    first, second = clock.finish[Op.LOAD]
    assert first == pytest.approx(clock.timing.read + 1000 + clock.timing.loaded)
    assert second - first == pytest.approx(1000)
    assert loads.idle
    assert loads.position == 2000


def test_loads_share_what_the_bus_leaves() -> None:
    clock = make_clock()
    loads = Loads(clock)
    clock.queues[Op.LOAD].append((load(1000), 0.0))
    while go_on(clock, loads, rate=0.25):
        pass
    timing = clock.timing
    assert clock.finish[Op.LOAD][0] == pytest.approx(timing.read + 4000 + timing.loaded)


def test_weights_come_as_far_as_the_fifo_takes_them() -> None:
    clock = make_clock()
    port = Weights(clock)
    clock.queues[Op.WEIGHTS].append((weights(100), 0.0))
    assert port.settle()
    assert port.demand(0.0, 0.0) == 0.0  # on their way
    clock.now = float(clock.timing.read)
    assert not port.settle()
    assert port.demand(0.0, 0.0) == 1.0
    room = clock.timing.weight_beats + clock.timing.read_fifo
    assert port.until(1.0) == pytest.approx(room)
    clock.now += room
    port.advance(room)
    # Full: no faster than blocks are used; with more room at once.
    assert port.demand(0.0, 0.5) == 0.5
    assert port.demand(0.0, 0.0) == 0.0
    assert port.demand(32.0, 0.0) == 1.0


def test_parameters_of_the_third_tile_wait_for_a_bank() -> None:
    clock = make_clock()
    port = Weights(clock)
    clock.queues[Op.WEIGHTS].extend([(weights(1), 0.0)] * 3)
    for _ in range(3):
        clock.now += 100
        assert port.settle()
    assert [tuple(tile) for tile in port.tiles] == [(16, 1, 0), (64, 1, 0), (112, 1, 1)]
    clock.now += 100
    assert not port.settle()
    assert port.demand(1000.0, 0.0) == 1.0
    # Up to the third tile's parameters, which may wait in the DMA's FIFO.
    assert port.until(1.0) == pytest.approx(min(144, 96 + clock.timing.read_fifo))
    port.advance(96)
    clock.now += 96
    assert port.demand(1000.0, 0.0) == 1.0
    clock.finish[Op.DRAIN].append(clock.now)
    clock.now += 1
    assert not port.settle()
    assert port.demand(1000.0, 0.0) == 1.0
    assert port.until(1.0) == pytest.approx(48)
    port.advance(48)
    assert len(clock.finish[Op.WEIGHTS]) == 3
