"""Streams: each payload comes out unchanged, in order and once."""

from __future__ import annotations

from math import gcd
from typing import Any

from amaranth import Cat, Mux, Signal, Value

from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, moves, outstanding, stays, tracked, within

__all__ = ["fifo", "passes_on"]


def passes_on(h: Harness, i: Any, o: Any, *, capacity: int, room: int, delay: int) -> None:
    """Claim that a block forwards payloads within `delay` cycles unless its output stalls."""
    inside = outstanding(h, moves(i), moves(o), capacity, "payloads inside")
    stays(h, "the payload", o.valid, o.ready, o.payload)
    tracked(h, inside, put=moves(i), given=i.payload, got=moves(o), taken=[(o.valid, o.payload)])
    within(h, "what is inside gets to the output", delay, (inside == 0) | o.valid)
    within(h, "an empty one takes what comes", delay, (inside != 0) | i.ready)
    h.claim(f"it takes payloads while fewer than {room} are inside", (inside >= room) | i.ready)
    asked = before(h, i.ready & ~i.valid, "asked")
    h.claim("ready stays until something comes", ~asked | i.ready)
    h.cover("full", (inside >= room) & ~i.ready)


def fifo(hw: Any, *, depth: int, block: bool) -> Harness:
    h = Harness()
    h.m.submodules.dut = dut = hw.Fifo(shape=2, depth=depth, block=block)
    h.free_inputs(dut)
    passes_on(h, dut.i, dut.o, capacity=depth + 2, room=depth, delay=3)
    return h


def register_slice(hw: Any) -> Harness:
    h = Harness()
    h.m.submodules.dut = dut = hw.RegisterSlice(shape=2)
    h.free_inputs(dut)
    passes_on(h, dut.i, dut.o, capacity=2, room=1, delay=1)
    return h


def _rows(h: Harness, dut: Any, length: Any, *others: Any) -> Value:
    """Return whether the word or beat at the input is a row's last one.

    The row's parameters change between rows only.
    """
    put = moves(dut.i)
    number = Signal(16, name="number", init=1)
    started = Signal(name="started")
    ends = number == length
    with h.m.If(put):
        h.m.d.sync += [number.eq(Mux(ends, 1, number + 1)), started.eq(~ends)]
    for value in (length, *others):
        h.assume(~started | (value == before(h, value, value.name)))
    return ends


def upsizer(hw: Any, *, in_bytes: int, out_bytes: int) -> Harness:
    """Rows of any length to words; lanes are what both sizes are multiples of."""
    h = Harness()
    h.m.submodules.dut = dut = hw.Upsizer(in_bytes=in_bytes, out_bytes=out_bytes)
    h.free_inputs(dut)
    size = gcd(in_bytes, out_bytes)
    unit, group = in_bytes // size, out_bytes // size
    put, got = moves(dut.i), moves(dut.o)
    ends = _rows(h, dut, dut.row_beats, dut.row_words)
    # The last beat has the rest of the row.
    count = Signal(range(unit + 1), name="count")
    h.m.d.comb += count.eq(
        Mux(ends, (dut.row_words * group - 1)[: unit.bit_length() - 1] + 1, unit)
    )

    which = h.free(range(max(unit, 2)), "which")
    h.assume(which < count)
    given = Cat(_lane(dut.i.p.data, which, size), dut.i.p.last & (which == count - 1))
    capacity = 2 * unit + group + min(unit, group)
    inside = outstanding(h, Mux(put, count, 0), Mux(got, group, 0), capacity, "lanes inside")
    stays(h, "the word", dut.o.valid, dut.o.ready, dut.o.payload)
    # `last` belongs to a word's last lane.
    taken = [(dut.o.valid, _lane(dut.o.p.data, k, size)) for k in range(group)]
    taken[-1] = (dut.o.valid, Cat(taken[-1][1], dut.o.p.last))
    tracked(h, inside, put=put, given=given, ahead=which, got=Mux(got, group, 0), taken=taken)
    within(h, "a word that is inside gets to the output", 2, (inside < group) | dut.o.valid)
    within(h, "beats are taken", 2, (inside >= group) | dut.i.ready)
    if unit > 1:
        h.cover("a row ends with a part of a beat", put & (count != unit))
    return h


def downsizer(hw: Any, *, in_bytes: int, out_bytes: int) -> Harness:
    """Rows of any length to beats."""
    h = Harness()
    h.m.submodules.dut = dut = hw.Downsizer(in_bytes=in_bytes, out_bytes=out_bytes)
    h.free_inputs(dut)
    size = gcd(in_bytes, out_bytes)
    unit, group = in_bytes // size, out_bytes // size
    put, got = moves(dut.i), moves(dut.o)
    ends = _rows(h, dut, dut.row_words)
    # Zeros fill the row's last beat.
    most = unit + group - 1
    count = Signal(range(most + 1), name="count")
    lack = (-(dut.row_words * unit))[: group.bit_length() - 1]
    h.m.d.comb += count.eq(unit + Mux(ends, lack, 0))

    which = h.free(range(max(most, 2)), "which")
    h.assume(which < count)
    given = Mux(which < unit, _lane(dut.i.payload, which, size), 0)
    capacity = 2 * most + group + min(most, group)
    inside = outstanding(h, Mux(put, count, 0), Mux(got, group, 0), capacity, "lanes inside")
    stays(h, "the beat", dut.o.valid, dut.o.ready, dut.o.payload)
    taken = [(dut.o.valid, _lane(dut.o.payload, k, size)) for k in range(group)]
    tracked(h, inside, put=put, given=given, ahead=which, got=Mux(got, group, 0), taken=taken)
    within(h, "a beat that is inside gets to the output", 2, (inside < group) | dut.o.valid)
    within(h, "words are taken", 2, (inside >= group) | dut.i.ready)
    if group > 1:
        h.cover("a row's last beat is filled with zeros", put & (count > unit))
    return h


def _lane(payload: Any, index: Any, size: int) -> Value:
    """One bit of a lane represents the others."""
    return Value.cast(payload).word_select(index, size * 8)[:1]
