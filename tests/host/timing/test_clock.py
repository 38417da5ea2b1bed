"""The clock of the event simulation: when waits are met, and the next event."""

from __future__ import annotations

from math import inf

from penstock.host.timing.clock import Clock, Engine, Work
from penstock.host.timing.latencies import MEMORY, Timing, Values
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import ENGINE_WAITS, Op


def descriptor(op: Op, **waits: int) -> tuple[Op, Values]:
    """A descriptor with nothing but its waits."""
    return op, {f"wait_{e.name.lower()}": waits.get(e.name.lower(), 0) for e in ENGINE_WAITS[op]}


def make_clock() -> Clock:
    return Clock(Timing(get_arch("lab"), MEMORY))


def test_waits_are_counted_on_beyond_16_bits() -> None:
    loads = [descriptor(Op.LOAD)] * 70_000
    convs = [descriptor(Op.CONV, load=count & 0xFFFF) for count in (70_000, 66_000, 65_536)]
    assert [work.waits for work in [*Work.stream([*loads, *convs])][-3:]] == [
        ((Op.LOAD, 70_000),),
        ((Op.LOAD, 66_000),),
        ((Op.LOAD, 65_536),),
    ]


def test_waits_for_nothing_are_left_out() -> None:
    work = Work.stream([descriptor(Op.LOAD), descriptor(Op.CONV), descriptor(Op.CONV, load=1)])
    assert [item.waits for item in work] == [(), (), ((Op.LOAD, 1),)]


class Idle(Engine):
    """An engine that does nothing."""

    def settle(self) -> bool:
        return False


def test_an_engine_wakes_at_the_first_moment_that_is_not_due() -> None:
    clock = make_clock()
    engine = Idle(clock, Op.LOAD)
    clock.now, engine.wake = 10.0, inf
    assert engine.due(10.0)
    assert engine.wake == inf
    assert not engine.due(30.0)
    assert not engine.due(20.0)
    assert not engine.due(25.0)
    assert engine.wake == 20.0


def test_engines_are_roused_by_what_they_wait_for() -> None:
    clock = make_clock()
    engines = {op: Idle(clock, op) for op in Op}
    fetcher = Idle(clock, None)

    def roused() -> set[Op | None]:
        result = {op for op, engine in engines.items() if engine.wake == -inf}
        result |= {None} if fetcher.wake == -inf else set()
        for engine in (*engines.values(), fetcher):
            engine.wake = inf
        return result

    assert roused() == {*Op, None}
    assert roused() == set()
    clock.dispatch(Op.DRAIN, Work(Op.DRAIN, {}, ()))
    assert roused() == {Op.DRAIN}
    clock.take(Op.DRAIN)
    assert roused() == {None}
    for op in Op:
        clock.complete(op, 5.0)
        waiting = {other for other in Op if op in ENGINE_WAITS[other]}
        assert roused() >= waiting | {op}
        assert clock.finish[op] == [5.0]


def test_a_descriptor_is_seen_when_its_waits_are_met() -> None:
    clock = make_clock()
    counted = clock.timing.counted
    assert clock.seen(Op.CONV) is None
    clock.queues[Op.CONV].append((Work(Op.CONV, {}, ((Op.LOAD, 2),)), 5.0))
    clock.finish[Op.LOAD].append(7.0)
    assert clock.seen(Op.CONV) is None  # one of two
    clock.finish[Op.LOAD].append(100.0)
    assert clock.seen(Op.CONV) == 100.0 + counted
    clock.queues[Op.CONV].append((Work(Op.CONV, {}, ()), 6.0))
    clock.now = 105.0
    assert clock.take(Op.CONV).waits == ((Op.LOAD, 2),)
    # The next one did not have to wait, but two cannot come at once.
    assert clock.seen(Op.CONV) == 105.0 + counted
