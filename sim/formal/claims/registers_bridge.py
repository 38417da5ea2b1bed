"""The bridge from the processor's AXI3 to registers: it splits bursts and answers every beat."""

from __future__ import annotations

from typing import Any

from amaranth import Mux, Signal, Value

from penstock.hw.bus.axi import Resp
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import stays, within

__all__ = ["lite_reads", "lite_writes"]

_BASE, _ADDR_WIDTH = 0x4000_0000, 14


class _Burst:
    """The processor's last burst, and whether it is still in flight.

    Members
    -------
    open : Signal
    first : Signal
        No beat is done yet.
    left : Signal
        Beats that are to be taken or answered.
    inside, word : Value
        Whether the first beat is in the window, and where.
    """

    def __init__(self, h: Harness, i: Any, prefix: str, *, beat: Value, end: Value) -> None:
        def of(name: str) -> Value:
            return getattr(i, prefix + name)

        self.open, self.first = Signal(name="open"), Signal(name="first")
        self.left = Signal(5, name="left")
        self.id = Signal(12, name="burst_id", reset_less=True)
        addr = Signal(32, name="start", reset_less=True)
        self.inside = addr[_ADDR_WIDTH:] == _BASE >> _ADDR_WIDTH
        self.word = addr[2:_ADDR_WIDTH]
        with h.m.If(of("valid") & of("ready")):
            h.m.d.sync += [
                self.open.eq(1),
                self.first.eq(1),
                self.left.eq(of("len") + 1),
                self.id.eq(of("id")),
                addr.eq(of("addr")),
            ]
        with h.m.Else():
            with h.m.If(beat):
                h.m.d.sync += self.left.eq(self.left - 1)
            with h.m.If(end):
                h.m.d.sync += self.open.eq(0)
        h.claim("a burst is taken when none is under way", of("ready") == ~self.open)


def _bridge(h: Harness, hw: Any) -> Any:
    h.m.submodules.dut = dut = hw.Axi3ToLite(base=_BASE, addr_width=_ADDR_WIDTH)
    h.free_inputs(dut)
    return dut


def lite_reads(hw: Any) -> Harness:
    """Environment: arbitrary read bursts, and registers that answer with any delay."""
    h = Harness()
    dut = _bridge(h, hw)
    i, o = dut.i, dut.o
    answered = i.rvalid & i.rready
    burst = _Burst(h, i, "ar", beat=answered, end=answered & i.rlast)
    with h.m.If(answered):
        h.m.d.sync += burst.first.eq(0)
    stays(h, "R", i.rvalid, i.rready, i.rdata, i.rresp, i.rid, i.rlast)
    h.claim("an answer is a burst's", ~i.rvalid | burst.open)
    h.claim("with its id", ~i.rvalid | (i.rid == burst.id))
    h.claim(
        "each beat is answered, and `rlast` is in the last",
        ~i.rvalid | (i.rlast == (burst.left == 1)),
    )

    stays(h, "registers' AR", o.arvalid, o.arready, o.araddr)
    owed, have = Signal(name="owed"), Signal(name="have")
    data, resp = (Signal(n, name=k, reset_less=True) for n, k in ((32, "data"), (2, "resp")))
    h.assume(~o.rvalid | owed)
    h.m.d.sync += [
        owed.eq((owed | (o.arvalid & o.arready)) & ~(o.rvalid & o.rready)),
        have.eq((have | (o.rvalid & o.rready)) & ~answered),
    ]
    with h.m.If(o.rvalid & o.rready):
        h.m.d.sync += [data.eq(o.rdata), resp.eq(o.rresp)]
    h.claim("a beat is one access at most", ~o.arvalid | (burst.open & ~owed & ~have & ~i.rvalid))
    h.claim("what the registers answer is taken", ~owed | o.rready)
    h.claim("a beat is answered when its access is", ~i.rvalid | ~owed)
    h.claim(
        "with what was read, or DECERR",
        ~i.rvalid
        | Mux(
            have,
            (i.rdata == data) & (i.rresp == resp),
            (i.rdata == 0) & (i.rresp == Resp.DECERR),
        ),
    )
    h.claim(
        "the first beat is accessed where it says, if that is in the window",
        ~burst.first
        | Mux(
            burst.inside,
            (~i.rvalid | have) & (~o.arvalid | (o.araddr[2:] == burst.word)),
            ~o.arvalid & ~have,
        ),
    )
    within(h, "a burst goes on", 3, ~burst.open | i.rvalid | o.arvalid | owed)
    h.cover("a second beat is read", answered & have & ~burst.first)
    return h


def lite_writes(hw: Any) -> Harness:
    """Environment: arbitrary write bursts, and registers that answer with any delay."""
    h = Harness()
    dut = _bridge(h, hw)
    i, o = dut.i, dut.o
    beat, answered = i.wvalid & i.wready, i.bvalid & i.bready
    burst = _Burst(h, i, "aw", beat=beat, end=answered)
    stays(h, "B", i.bvalid, i.bready, i.bresp, i.bid)
    h.claim("a beat is taken for a burst", ~i.wready | (burst.open & (burst.left != 0)))
    h.claim(
        "an answer is a burst's, when all of it is done",
        ~i.bvalid | (burst.open & (burst.left == 0)),
    )
    h.claim("with its id", ~i.bvalid | (i.bid == burst.id))

    # The beat that was taken, and the progress of its access.
    pending, skipped = Signal(name="pending"), Signal(name="skipped")
    sent = {k: Signal(name=f"{k}_sent") for k in ("aw", "w")}
    data, strobe = (Signal(n, name=k, reset_less=True) for n, k in ((32, "data"), (4, "strobe")))
    worst = Signal(2, name="worst")
    done = o.bvalid & o.bready
    owed = sent["aw"] & sent["w"] & pending
    h.assume(~o.bvalid | owed)
    h.m.d.comb += skipped.eq(pending & (i.wready | i.bvalid))
    h.m.d.sync += pending.eq(beat | (pending & ~done & ~skipped))
    with h.m.If(beat):
        h.m.d.sync += [data.eq(i.wdata), strobe.eq(i.wstrb)]
    with h.m.If(done | skipped):
        h.m.d.sync += burst.first.eq(0)
    with h.m.If(i.awvalid & i.awready):
        h.m.d.sync += worst.eq(Resp.OKAY)
    with h.m.Elif(skipped):
        h.m.d.sync += worst.eq(Resp.DECERR)
    with h.m.Elif(done & (o.bresp > worst)):
        h.m.d.sync += worst.eq(o.bresp)
    begun = o.awvalid | o.wvalid | sent["aw"] | sent["w"]
    for name, valid, ready, payload in (
        ("aw", o.awvalid, o.awready, [o.awaddr]),
        ("w", o.wvalid, o.wready, [o.wdata, o.wstrb]),
    ):
        stays(h, f"registers' {name.upper()}", valid, ready, *payload)
        h.m.d.sync += sent[name].eq((sent[name] | (valid & ready)) & ~done)
        h.claim(f"each beat is one access at most: {name}", ~valid | (pending & ~sent[name]))
    h.claim(
        "the beat's data are written",
        ~o.wvalid | ((o.wdata == data) & (o.wstrb == strobe)),
    )
    h.claim("what the registers answer is taken", ~owed | o.bready)
    h.claim("no access is given up", ~skipped | ~begun)
    h.claim(
        "the answer is the worst of all beats'",
        ~i.bvalid | (i.bresp == Mux(skipped, Resp.DECERR, worst)),
    )
    h.claim(
        "the first beat is written where it says, if that is in the window",
        ~burst.first
        | Mux(burst.inside, ~skipped & (~o.awvalid | (o.awaddr[2:] == burst.word)), ~begun),
    )
    goes_on = i.wready | o.awvalid | o.wvalid | owed | i.bvalid
    within(h, "a burst goes on", 3, ~burst.open | goes_on)
    h.cover("a second beat is written", done & ~burst.first & (burst.left == 0))
    return h
