"""Monitors of streams, for proofs."""

from __future__ import annotations

from amaranth import Mux, Signal, Value
from amaranth.hdl import ValueLike
from amaranth.lib import stream

from penstock.sim.formal.checking.harness import Harness

__all__ = ["bits", "before", "moves", "outstanding", "stays", "tracked", "within"]


def bits(value: ValueLike) -> Value:
    """The bits of a payload of any shape."""
    return Value.cast(value)


def moves(s: stream.Interface) -> Value:
    """Whether the stream transfers a payload in this cycle."""
    return s.valid & s.ready


def before(h: Harness, value: ValueLike, name: str) -> Signal:
    """`value` of the previous cycle; 0 after the reset."""
    value = Value.cast(value)
    past = Signal(value.shape(), name=f"past_{name}".replace(" ", "_"))
    h.m.d.sync += past.eq(value)
    return past


def stays(h: Harness, name: str, valid: Value, ready: Value, *payload: ValueLike) -> None:
    """Claim that valid and payload hold until the payload is taken."""
    h.claim(f"{name} is offered until it is taken", ~_waits(h, name, valid, ready) | valid)
    for index, value in enumerate(payload):
        same = bits(value) == before(h, value, f"{name}_{index}")
        h.claim(
            f"{name} does not change while it waits" + f" ({index})" * (len(payload) > 1),
            ~_waits(h, f"{name}{index}", valid, ready) | same,
        )


def _waits(h: Harness, name: str, valid: Value, ready: Value) -> Signal:
    return before(h, valid & ~ready, f"{name}_waits")


def within(h: Harness, name: str, cycles: int, condition: Value) -> None:
    """Claim that `condition` is never false for more than `cycles` consecutive cycles."""
    late = Signal(range(cycles + 2), name="late")
    h.m.d.sync += late.eq(Mux(condition, 0, late + (late <= cycles)))
    h.claim(name, late <= cycles)


def outstanding(h: Harness, more: ValueLike, fewer: ValueLike, limit: int, name: str) -> Signal:
    """Count items in flight up to `limit` + 1; claim that the count is 0 to `limit`."""
    count = Signal(range(limit + 2), name=name.replace(" ", "_"))
    more, fewer = Value.cast(more), Value.cast(fewer)
    h.claim(f"{name}: nothing comes out that did not go in", count >= fewer)
    h.claim(f"{name}: at most {limit}", count <= limit)
    h.m.d.sync += count.eq(count + more - fewer)
    return count


def tracked(
    h: Harness,
    inside: Signal,
    *,
    put: Value,
    given: ValueLike,
    ahead: ValueLike = 0,
    got: ValueLike,
    taken: list[tuple[Value, ValueLike]],
) -> None:
    """Claim that items come out unchanged and in order.

    The proof picks an arbitrary item at the input and compares the item at the same position at the
    output.  As every item can be picked, none is lost, changed, duplicated or reordered.

    Parameters
    ----------
    inside : Signal
        Items inside.
    put : Value
        Items are put in; the one that may be picked is `given`, with `ahead` others before it.
    got : ValueLike
        Number of items that come out.
    taken : list of (Value, ValueLike)
        The items at the output and whether each is valid; an item may have its lower bits only.
    """
    m = h.m
    pick = h.free(1, "pick")
    picked, over = Signal(name="picked"), Signal(name="over")
    place = Signal.like(inside, name="place")
    kept = Signal(len(bits(given)), name="kept")
    with m.If(picked):
        with m.If(place < got):
            m.d.sync += [picked.eq(0), over.eq(1)]
        with m.Else():
            m.d.sync += place.eq(place - got)
    with m.Elif(put & pick & ~over):
        m.d.sync += [picked.eq(1), place.eq(inside + ahead - got), kept.eq(bits(given))]
    for index, (there, value) in enumerate(taken):
        h.claim(
            f"what comes out is what went in, in order ({index})",
            ~(picked & there & (place == index)) | (bits(value) == kept[: len(bits(value))]),
        )
    h.cover("the picked item comes out", over)
