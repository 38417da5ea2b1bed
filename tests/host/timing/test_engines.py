"""The engines of the event simulation, each alone: durations of a tile, a drain and a post."""

from __future__ import annotations

from math import inf

import pytest

from penstock.host.timing.clock import Clock, Work
from penstock.host.timing.engines import Array, Drain, Posts
from penstock.host.timing.latencies import Memory, Timing
from penstock.host.timing.read_ports import Weights
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Op

LAB = get_arch("lab")


def make_clock(**memory: float) -> Clock:
    return Clock(Timing(LAB, Memory(latency=int(memory.get("latency", 0)), rate=1.0)))


def conv(blocks: int, positions: int, *, first: int = 1, last: int = 1) -> Work:
    values = {"n_cb": blocks, "n_ky": 1, "n_kx": 1, "n_y": positions, "n_x": 1, "more_images": 0}
    return Work(Op.CONV, {**values, "first": first, "last": last}, ())


def make_array(clock: Clock, *tiles: Work, beats: float = inf) -> Array:
    """An array whose weights have arrived up to a position."""
    weights = Weights(clock)
    position = 0.0
    for tile in tiles:
        weights.tiles.append([position, tile.values["n_cb"], 0])
        position += tile.values["n_cb"] * clock.timing.block_beats
        clock.queues[Op.CONV].append((tile, 0.0))
    weights.position = min(beats, position)
    return Array(clock, weights)


def run_array(clock: Clock, array: Array, rate: float, tiles: int) -> None:
    """Advance until so many tiles are complete, with weights arriving at a rate."""
    while len(clock.finish[Op.CONV]) < tiles:
        array.wake = inf
        while array.settle():
            pass
        cycles = min(array.until(rate), array.wake - clock.now)
        assert cycles < inf, "nothing left to happen"
        clock.now += cycles
        array.advance(cycles)
        array.weights.position += rate * cycles


@pytest.mark.parametrize(("positions", "period"), [(10, 35), (100, 100)])
def test_blocks_follow_each_other(positions: int, period: int) -> None:
    clock = make_clock()
    array = make_array(clock, conv(20, positions))
    run_array(clock, array, 0.0, 1)
    # The last block ends with its last word.
    assert array.end - array.begin == pytest.approx(19 * period + positions)
    assert list(array.tile_ends) == [array.end + clock.timing.filled]
    assert array.idle


def test_late_weights_set_the_pace() -> None:
    clock = make_clock()
    array = make_array(clock, conv(20, 36), beats=2 * 32)
    run_array(clock, array, 0.5, 1)
    # A block of 32 beats each 64 cycles.
    assert 18 * 64 < array.end - array.begin < 20 * 64


def test_a_third_tile_waits_for_a_bank() -> None:
    clock = make_clock()
    tiles = [conv(4, 100) for _ in range(3)]
    array = make_array(clock, *tiles)
    run_array(clock, array, 0.0, 2)
    array.wake = inf
    while array.settle():
        pass
    assert array.state == "stall_output"
    assert array.until(0.0) == inf
    clock.finish[Op.DRAIN].append(clock.now + 1000)
    while array.settle():
        pass
    assert array.wake == pytest.approx(clock.now + 1001)
    run_array(clock, array, 0.0, 3)
    assert array.end == pytest.approx(clock.finish[Op.DRAIN][0] + 1 + 400)


def test_parts_of_a_tile_are_one_tile_for_the_drain() -> None:
    clock = make_clock()
    array = make_array(clock, conv(4, 100, last=0), conv(4, 100, first=0))
    run_array(clock, array, 0.0, 2)
    assert len(array.tile_ends) == 1


def test_drains_take_a_cycle_for_each_group() -> None:
    clock = make_clock()
    array = make_array(clock)
    drain = Drain(clock, array)
    for _ in range(2):
        clock.queues[Op.DRAIN].append((Work(Op.DRAIN, {"count": 100, "lane_groups": 4}, ()), 0.0))
    assert not drain.settle()
    array.tile_ends.extend([50.0, 60.0])
    drain.wake = inf
    assert not drain.settle()
    assert drain.wake == 50.0
    clock.now = 50.0
    assert drain.settle()
    (end,) = clock.finish[Op.DRAIN]
    assert end == 50 + 400 + clock.timing.drained
    # The next tile was ready long before.
    assert not drain.settle()
    clock.now = end + 1
    assert drain.settle()
    assert clock.finish[Op.DRAIN][1] == 2 * end + 1 - 50


def post(beats: int, mark: int = 0) -> Work:
    values = {"kernel": 1, "stride": 1, "lrn": 0, "y0": 0, "out_w": beats // 2, "out_h": 1}
    return Work(Op.POST, {**values, "beats": beats, "mark": mark}, ())


def run_posts(clock: Clock, posts: Posts, rate: float, count: int) -> None:
    while len(clock.finish[Op.POST]) < count:
        posts.wake = inf
        while posts.settle():
            pass
        wanted = min(posts.demand(), rate)
        cycles = min(posts.until(wanted), posts.wake - clock.now)
        assert cycles < inf, "nothing left to happen"
        clock.now += cycles
        posts.advance(wanted * cycles, cycles)


def test_posts_end_when_memory_has_acknowledged_them() -> None:
    clock = make_clock(latency=100)
    posts = Posts(clock)
    clock.queues[Op.POST].append((post(400, mark=1), 0.0))
    run_posts(clock, posts, 1.0, 1)
    timing = clock.timing
    _, last, _ = timing.post_cycles(post(400).values)
    assert posts.position == pytest.approx(400)
    (end,) = clock.finish[Op.POST]
    # Written as they are made, the last burst after it is whole.
    assert last < end - timing.written < last + timing.flush + 32
    assert list(posts.marks) == [end]


def test_a_slow_bus_holds_posts_up() -> None:
    clock = make_clock()
    posts = Posts(clock)
    clock.queues[Op.POST].append((post(1000), 0.0))
    run_posts(clock, posts, 0.2, 1)
    assert clock.finish[Op.POST][0] == pytest.approx(5000, rel=0.02)


def test_no_more_posts_than_memory_may_owe() -> None:
    clock = make_clock(latency=10_000)
    posts = Posts(clock)
    clock.queues[Op.POST].extend([(post(4), 0.0) for _ in range(6)])
    run_posts(clock, posts, 1.0, 5)
    # The fifth begins when the first is acknowledged.
    assert clock.finish[Op.POST][3] < 11_000
    assert clock.finish[Op.POST][4] > 20_000
