"""The bridges to AXI3: each channel forwards transfers one to one."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Signal, Value

from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, outstanding, stays, tracked, within

__all__ = ["read_bridge", "write_bridge"]

# Members of an address channel, and their widths in AXI3.
_REQUEST = {"addr": 32, "len": 4, "size": 3, "burst": 2}


def _channel(
    h: Harness, name: str, i: Any, o: Any, payload: dict[str, tuple[Value, Value]]
) -> None:
    """Claim that a master's transfers on a channel reach the port in order and once."""
    i_valid, i_ready = (getattr(i, name + end) for end in ("valid", "ready"))
    o_valid, o_ready = (getattr(o, name + end) for end in ("valid", "ready"))
    given, shown = (Cat(pair[k] for pair in payload.values()) for k in (0, 1))
    put, got = i_valid & i_ready, o_valid & o_ready
    inside = outstanding(h, put, got, 2, f"{name} inside")
    stays(h, name.upper(), o_valid, o_ready, shown)
    tracked(h, inside, put=put, given=given, got=got, taken=[(o_valid, shown)])
    within(h, f"what {name} has inside gets to the port", 1, (inside == 0) | o_valid)
    h.claim(f"{name} takes what comes while nothing is inside", (inside != 0) | i_ready)


def _request(h: Harness, name: str, i: Any, o: Any) -> None:
    pairs = {
        field: (getattr(i, name + field)[:width], getattr(o, name + field))
        for field, width in _REQUEST.items()
    }
    _channel(h, name, i, o, pairs)
    constants = {"id": 0, "lock": 0, "prot": 0, "qos": 0}
    for field, value in constants.items():
        h.claim(f"{name}{field} is {value}", getattr(o, name + field) == value)


def _answers(h: Harness, i: Any, o: Any, name: str, fields: tuple[str, ...]) -> None:
    """Claim that each response of the port reaches the master a cycle later."""
    valid = name + "valid"
    h.claim(f"{name.upper()} is always taken", getattr(o, name + "ready"))
    came = before(h, getattr(o, valid), valid)
    h.claim(f"each answer is handed on, a cycle later: {name}", getattr(i, valid) == came)
    for field in fields:
        past = Signal.like(getattr(o, name + field), name=f"past_{name}{field}", reset_less=True)
        h.m.d.sync += past.eq(getattr(o, name + field))
        h.claim(f"as it is: {name}{field}", ~came | (getattr(i, name + field) == past))
    h.cover(f"an answer comes: {name}", came)


def read_bridge(hw: Any) -> Harness:
    h = Harness()
    h.m.submodules.dut = dut = hw.Axi3ReadMaster()
    h.free_inputs(dut)
    _request(h, "ar", dut.i, dut.o)
    _answers(h, dut.i, dut.o, "r", ("data", "resp", "last"))
    return h


def write_bridge(hw: Any, *, channel: str) -> Harness:
    """Requests and answers, or the beats: `channel` is ``aw`` or ``w``."""
    h = Harness()
    h.m.submodules.dut = dut = hw.Axi3WriteMaster()
    h.free_inputs(dut)
    if channel == "aw":
        _request(h, "aw", dut.i, dut.o)
        _answers(h, dut.i, dut.o, "b", ("resp",))
    else:
        i, o = dut.i, dut.o
        _channel(h, "w", i, o, {"data": (i.wdata, o.wdata), "last": (i.wlast, o.wlast)})
        h.claim("all bytes are written", o.wstrb == 0xFF)
        h.claim("wid is 0", o.wid == 0)
    return h
