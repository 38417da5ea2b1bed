"""Descriptor fetch: its memory requests, and the engine that gets each descriptor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, FIELDS, Op
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, bits, moves, stays, within

__all__ = ["fetch"]

_BEATS = DESCRIPTOR_BYTES // 8
# Most outstanding beats of the proof's memory.
_OWED = 4 * _BEATS


class _AnyCrc(wiring.Component):
    """A checksum unit with an arbitrary result, constant until the next beat."""

    def __init__(self, harness: Harness) -> None:
        self._match = harness.free(1, "match")
        super().__init__(
            {"start": In(1), "data": In(64), "valid": In(1), "match_detected": Out(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.valid):
            m.d.sync += self.match_detected.eq(self._match)
        return m


def fetch(hw: Any, *, arbitrary: bool) -> Harness:
    """Environment: memory that answers late with arbitrary data, engines that stall at will."""
    h = Harness(arbitrary=arbitrary)
    crc = _AnyCrc(h)
    hw.CRC32_ISO_HDLC = lambda data_width: SimpleNamespace(create=lambda: crc)
    h.m.submodules.dut = dut = hw.Fetch(arch=get_arch("tiny"))
    h.free_inputs(dut)
    started = Signal(name="started")
    h.m.d.sync += started.eq(started | dut.start)
    h.assume(~(dut.start & started))
    _commands(h, dut)
    whole = _beats(h, dut, crc)

    # Each complete descriptor is handed out or bad.
    there, taken = Signal(name="there"), Signal(name="taken")
    h.m.d.comb += taken.eq(Cat(moves(o) for o in dut.engines.values()).any())
    h.m.d.sync += there.eq((there & ~taken) | whole)
    h.claim("no beat is taken while a descriptor is there", ~there | ~dut.data.ready)
    given = max((bits(o.payload) for o in dut.engines.values()), key=len)
    _kept(h, dut, given, there, whole)
    check = before(h, whole, "whole")
    legal = []
    for op, o in dut.engines.items():
        name = op.name
        stays(h, name, o.valid, o.ready, o.payload)
        fits = Signal(name=f"fits_{name}")
        # The fields are complete before the last beat, as `_kept` claims.
        fields = before(h, _fits(op, given, hw.limits(dut.arch)[op]), f"fields_of_{name}")
        with h.m.If(check):
            h.m.d.sync += fits.eq(crc.match_detected & fields)
        legal.append(fits)
        h.claim(f"{name} gets what is for it, whole and within its limits", ~o.valid | fits)
        h.claim(f"{name} gets it when it is there", ~o.valid | there)
        same = bits(o.payload) == given[: len(bits(o.payload))]
        h.claim(f"{name} gets all of it", ~o.valid | same)
        h.cover(f"{name} gets one", moves(o))
    offered = Cat(o.valid for o in dut.engines.values()).any()
    within(h, "a descriptor is offered, or bad", 2, ~there | offered | dut.bad)
    h.claim("a bad one is for no engine", ~dut.bad | (there & ~Cat(legal).any()))
    h.claim("bad holds", ~before(h, dut.bad, "bad") | dut.bad)
    h.claim("nothing is handed out after a bad one", ~dut.bad | ~offered)

    fetched, left = Signal(32, name="all_fetched"), Signal(32, name="left_to_hand_out")
    h.m.d.sync += fetched.eq(fetched + check)
    h.claim(
        "fetched counts the descriptors, two cycles late",
        dut.fetched == before(h, fetched, "fetched"),
    )
    counted = before(h, taken, "taken")
    with h.m.If(dut.start):
        h.m.d.sync += left.eq(dut.desc_count)
    with h.m.Elif(counted):
        h.m.d.sync += left.eq(left - 1)
    h.claim(
        "finished says that all are handed out",
        dut.finished == before(h, started & (left == 0), "all"),
    )
    if not arbitrary:
        h.cover("a second one is bad", dut.bad & (fetched == 2))
        h.cover("all of two are handed out", dut.finished & (fetched == 2))
    return h


def _commands(h: Harness, dut: Any) -> None:
    """Claim that each descriptor is requested once, in order, and none after a bad one."""
    cmd = dut.cmd
    stays(h, "the command", cmd.valid, cmd.ready, cmd.payload)
    addr, left = Signal(32, name="next_addr", reset_less=True), Signal(32, name="left_to_ask")
    with h.m.If(dut.start):
        h.m.d.sync += [addr.eq(dut.desc_addr), left.eq(dut.desc_count)]
    with h.m.Elif(moves(cmd)):
        h.m.d.sync += [addr.eq(addr + DESCRIPTOR_BYTES), left.eq(left - 1)]
    h.claim("commands are for the next descriptor", ~cmd.valid | (cmd.p.addr == addr))
    h.claim("for all of it", ~cmd.valid | (cmd.p.beats == _BEATS))
    h.claim("none is beyond the last descriptor", ~cmd.valid | (left != 0))
    waited = before(h, cmd.valid & ~cmd.ready, "command_waited")
    h.claim("none is begun after a bad one", ~before(h, dut.bad, "was_bad") | ~cmd.valid | waited)
    within(h, "all are asked for", 2, (left == 0) | cmd.valid | dut.bad)


def _beats(h: Harness, dut: Any, crc: _AnyCrc) -> Value:
    """Make memory answer requests; claim the checksum's inputs; return when 8 beats have come."""
    owed = Signal(range(_OWED + 1), name="owed")
    got = moves(dut.data)
    h.m.d.sync += owed.eq(owed + Mux(moves(dut.cmd), _BEATS, 0) - got)
    h.assume(~moves(dut.cmd) | (owed <= _OWED - _BEATS))
    h.assume(~dut.data.valid | (owed != 0))
    h.claim("the checksum sees each beat", crc.valid == got)
    h.claim("as it is", ~got | (crc.data == dut.data.payload))
    h.claim("and where a descriptor begins", ~got | (crc.start == (owed[:3] == 0)))
    return got & (owed[:3] == 1)


def _kept(h: Harness, dut: Any, given: Value, there: Value, whole: Value) -> None:
    """Claim that descriptors are offered as read from memory, and unchanged by the last beat.

    `whole` says that the last beat is taken.
    """
    number = Signal(range(_BEATS), name="number")
    copy = [Signal(64, name=f"copy{k}", reset_less=True) for k in range(-(-len(given) // 64))]
    with h.m.If(moves(dut.data)):
        h.m.d.sync += number.eq(number + 1)
        with h.m.Switch(number):
            for k, beat in enumerate(copy):
                with h.m.Case(k):
                    h.m.d.sync += beat.eq(dut.data.payload)
    h.claim("the last beat is the last one", ~whole | (number == _BEATS - 1))
    here = there | (number >= len(copy))
    h.claim("a descriptor is what was in memory", ~here | (given == Cat(copy)[: len(given)]))


def _fits(op: Op, descriptor: Value, limits: dict[str, tuple[int, int | None]]) -> Value:
    """Whether a descriptor's fields are legal for an engine, by the table of fields."""
    start = 0
    fits: Value = descriptor[0:8] == op.value
    for field in FIELDS[op]:
        value = descriptor[start : start + field.width]
        start += field.width
        low, high = limits.get(field.name, (0, None))
        fits = fits & (value >= low)
        if high is not None:
            fits = fits & (value <= high)
    return fits
