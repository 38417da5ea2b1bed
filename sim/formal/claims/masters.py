# amaranth: UnusedElaboratable=no
"""AXI masters: the rules of the bus, and each requested beat exactly once."""

from __future__ import annotations

from typing import Any

from amaranth import Mux, Signal, Value

from penstock.hw.bus.axi import BOUNDARY, BURST_INCR, MAX_BURST
from penstock.sim.formal.checking.contract import AnyBursts, AnyFifo, any_fifos, burst_is_legal
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import before, moves, outstanding, stays, within

__all__ = ["burst_rules", "burst_splitter", "read_dma", "write_dma"]

_BYTES = 8


def burst_rules(h: Harness, bus: Any, prefix: str) -> None:
    """Claim that an address channel obeys AXI and the guarantees of `hw.bus.axi`."""

    def of(name: str) -> Value:
        return getattr(bus, prefix + name)

    valid, ready = of("valid"), of("ready")
    fields = ("addr", "len", "size", "burst", "id")
    stays(h, f"{prefix.upper()}", valid, ready, *(of(name) for name in fields))
    beats = of("len") + 1
    last = of("addr")[: BOUNDARY.bit_length() - 1] + (of("len") << 3)
    h.claim("bursts have 1 to 16 beats", ~valid | (beats <= MAX_BURST))
    h.claim("bursts do not cross 4 KiB", ~valid | (last < BOUNDARY))
    h.claim("addresses are aligned", ~valid | (of("addr")[:3] == 0))
    h.claim(
        "bursts are INCR, of full-width beats, with id 0",
        ~valid | ((of("burst") == BURST_INCR) & (of("size") == 3) & (of("id") == 0)),
    )


def _commands(h: Harness, cmd: Any) -> None:
    h.assume(~cmd.valid | ((cmd.p.beats != 0) & (cmd.p.addr[:3] == 0)))


class _Reference:
    """Reference model of a command's bursts, and the claims that they match it.

    Parameters
    ----------
    h : Harness
    begins, addr, beats : Value
        A burst begins; its address and length.
    cmd : stream
        The stream of commands.
    base : Value
        Offset added to their addresses.
    """

    def __init__(
        self, h: Harness, begins: Value, addr: Value, beats: Value, cmd: Any, base: Value
    ) -> None:
        self.addr = Signal(32, reset_less=True, name="reference_addr")
        self.left = Signal(24, name="reference_left")
        self.again = Signal(name="reference_again")
        h.claim(
            "a command's bursts follow each other from its address on",
            ~begins | (addr == self.addr),
        )
        h.claim(
            "no burst is longer than what is left of its command", ~begins | (beats <= self.left)
        )
        h.claim(
            "bursts end on multiples of 16 beats, or with their command",
            ~begins | ((addr[3:] + beats)[:4] == 0) | (beats == self.left),
        )
        h.claim(
            "a command is taken only when the one before is done",
            ~moves(cmd) | (self.left == Mux(begins, beats, 0)),
        )
        with h.m.If(begins):
            h.m.d.sync += [
                self.addr.eq(self.addr + (beats << 3)),
                self.left.eq(self.left - beats),
                self.again.eq(1),
            ]
        with h.m.If(moves(cmd)):
            h.m.d.sync += [
                self.addr.eq(cmd.p.addr + base),
                self.left.eq(cmd.p.beats),
                self.again.eq(0),
            ]


def burst_splitter(hw: Any) -> Harness:
    h = Harness()
    h.m.submodules.dut = dut = hw.BurstSplitter()
    h.free_inputs(dut)
    _commands(h, dut.i)
    h.assume(dut.base[:3] == 0)
    stays(h, "the burst", dut.o.valid, dut.o.ready, dut.o.payload)
    burst = dut.o.p
    reference = _Reference(h, moves(dut.o), burst.addr, burst.beats, dut.i, dut.base)
    h.claim(
        "the last burst of a command is marked",
        ~dut.o.valid | (burst.last == (burst.beats == reference.left)),
    )
    h.claim("nothing is offered without a command", ~dut.o.valid | (reference.left != 0))
    h.claim(
        "bursts are aligned, of 1 to 16 beats, within 4 KiB", ~dut.o.valid | burst_is_legal(burst)
    )
    h.claim("no burst follows another at once", ~before(h, moves(dut.o), "burst") | ~dut.o.valid)
    within(h, "a command goes on", 2, (reference.left == 0) | dut.o.valid)
    within(h, "a command is taken", 1, (reference.left != 0) | dut.i.ready)
    h.cover("a command of several bursts ends", moves(dut.o) & burst.last & reference.again)
    return h


def _fifo(made: list[AnyFifo], payload: Value) -> AnyFifo:
    """The FIFO of beats, or of commands."""
    (found,) = (fifo for fifo in made if len(Value.cast(fifo.i.payload)) == len(payload))
    return found


def _any_splitters(h: Harness, hw: Any, made: list[AnyBursts]) -> Any:
    def make() -> AnyBursts:
        made.append(AnyBursts(harness=h, command=hw.command_layout, burst=hw.burst_layout))
        return made[-1]

    return make


def _same(h: Harness, name: str, outer: Any, inner: Any) -> None:
    """Claim that two streams are connected."""
    for part in ("valid", "ready", "payload"):
        one, other = (Value.cast(getattr(s, part)) for s in (outer, inner))
        h.claim(f"{name}: {part}", one == other)


def _requests(
    h: Harness, dut: Any, commands: AnyFifo, splitter: AnyBursts, bus: Any, prefix: str
) -> Value:
    """Claim that commands become bursts and bursts requests, one to one; return when one begins."""

    def of(name: str) -> Value:
        return getattr(bus, prefix + name)

    burst_rules(h, bus, prefix)
    _same(h, "commands go into their FIFO", dut.cmd, commands.i)
    _same(h, "and from there to the splitter", commands.o, splitter.i)
    taken = before(h, moves(splitter.o), "burst_taken")
    waited = before(h, of("valid") & ~of("ready"), "request_waited")
    fresh = of("valid") & ~waited
    h.claim("every burst is requested, and nothing else", fresh == taken)
    h.claim(
        "a request is its burst's", ~fresh | (of("addr") == before(h, splitter.o.p.addr, "addr"))
    )
    h.claim("as long as it", ~fresh | (of("len") + 1 == before(h, splitter.o.p.beats, "beats")))
    h.claim("the base goes to the splitter", dut.control.base == splitter.base)
    stopped = before(h, before(h, dut.control.halt, "halt"), "halted")
    h.claim("nothing is begun while halted", ~stopped | ~fresh)
    return fresh


def _elaborated(h: Harness, dut: Any) -> None:
    """Elaborate the design in the harness at once, so that its submodules can be observed."""
    h.m.submodules.dut = dut.elaborate(None)


def read_dma(hw: Any, *, bursts: int) -> Harness:
    """With a FIFO for a number of bursts."""
    h = Harness()
    depth = bursts * MAX_BURST
    made: list[AnyFifo] = []
    splitters: list[AnyBursts] = []
    hw.Fifo = any_fifos(h, made)
    hw.BurstSplitter = _any_splitters(h, hw, splitters)
    dut = hw.ReadDma(depth=depth)
    _elaborated(h, dut)
    h.free_inputs(dut)
    bus = dut.bus
    request, beat = bus.arvalid & bus.arready, bus.rvalid & bus.rready
    commands, beats = _fifo(made, dut.cmd.payload.as_value()), _fifo(made, dut.o.payload)
    fresh = _requests(h, dut, commands, splitters[0], bus, "ar")

    asked = Signal(5, name="asked")
    h.m.d.comb += asked.eq(Mux(request, bus.arlen[:4] + 1, 0))
    owed = outstanding(h, asked, beat, depth, "beats on their way")
    # Memory answers only requests.
    h.assume(~bus.rvalid | (owed != 0))
    h.claim("every beat is taken at once", bus.rready)
    h.claim("every beat goes into the FIFO", beats.i.valid == beat)
    h.claim("as it is", beats.i.payload == bus.rdata)
    h.claim("the FIFO has room for every beat", ~beat | beats.i.ready)
    _same(h, "the output is the FIFO's", dut.o, beats.o)

    # Room not reserved for any outstanding beat: the expected number of credits.
    spent = Signal(5, name="spent")
    credit = Signal(range(depth + 1), name="credit", init=depth)
    returned = before(h, moves(dut.o), "returned")
    h.m.d.comb += spent.eq(Mux(fresh, bus.arlen[:4] + 1, 0))
    h.m.d.sync += credit.eq(credit - spent + returned)
    offered = Mux(bus.arvalid, bus.arlen[:4] + 1, 0)
    h.claim(
        "credits are what is free",
        credit + returned + beats.level + owed + offered == depth + spent,
    )
    h.claim("a burst is begun with credit for all of it", credit >= spent)
    h.claim("and not before the one before is paid for", (spent == 0) | ~splitters[0].o.valid)
    splitter = splitters[0].o
    empty = beats.level + owed + offered + returned == 0
    halted = before(h, dut.control.halt, "halted")
    h.claim(
        "a burst is taken when all is empty", ~splitter.valid | splitter.ready | halted | ~empty
    )
    quiet = ~bus.arvalid & (owed == 0)
    _idle(h, dut, quiet)
    busy = before(h, ~quiet & ~beat, "busy")
    h.claim("waiting says that memory kept the port waiting", dut.waiting == busy)
    _counts(h, dut, asked, beat, before(h, Mux(beat, bus.rresp, 0), "resp"))
    h.cover("as many beats as there is room for are on their way", owed == depth)
    h.cover("idle again", dut.control.idle & (dut.control.received != 0))
    return h


def _idle(h: Harness, dut: Any, quiet: Value) -> None:
    """Claim that `idle` is 1 from the third cycle in which nothing is in flight."""
    still = before(h, quiet, "quiet")
    settled = quiet & still & before(h, still, "still")
    h.claim("idle says that nothing is under way", dut.control.idle == settled)


def _counts(h: Harness, dut: Any, asked: Value, arrived: Value, resp: Value) -> None:
    """Claim that the counts, three cycles late, and the error are those of the bus."""
    expected, received = (
        _total(h, more, name) for more, name in ((asked, "asked"), (arrived, "arrived"))
    )
    error = Signal(2, name="first_error")
    with h.m.If(resp[1] & (error == 0)):
        h.m.d.sync += error.eq(resp)
    h.claim("expected counts the beats asked for", dut.control.expected == expected)
    h.claim("received counts the beats answered", dut.control.received == received)
    h.claim("the first error is kept", dut.control.error == error)


def _total(h: Harness, more: Value, name: str) -> Value:
    """The sum of all additions up to three cycles ago."""
    total = Signal(32, name=f"all_{name}")
    h.m.d.sync += total.eq(total + before(h, more, name))
    return before(h, total, f"all_{name}")


def write_dma(hw: Any) -> Harness:
    h = Harness()
    depth = 2 * MAX_BURST  # room for two bursts
    made: list[AnyFifo] = []
    splitters: list[AnyBursts] = []
    hw.Fifo = any_fifos(h, made)
    hw.BurstSplitter = _any_splitters(h, hw, splitters)
    dut = hw.WriteDma(depth=depth)
    _elaborated(h, dut)
    h.free_inputs(dut)
    bus = dut.bus
    commands, beats = _fifo(made, dut.cmd.payload.as_value()), _fifo(made, dut.i.payload)
    begun, unacknowledged = (f for f in made if f not in (commands, beats))
    splitter = splitters[0]
    _requests(h, dut, commands, splitter, bus, "aw")
    for fifo, name in ((begun, "to be sent"), (unacknowledged, "to be acknowledged")):
        h.assume(~fifo.o.valid | burst_is_legal(fifo.o.p))
        h.claim(f"every burst is one {name}", fifo.i.valid == moves(splitter.o))
        h.claim(f"there is room for one {name}", ~fifo.i.valid | fifo.i.ready)
        same = Value.cast(fifo.i.payload) == Value.cast(splitter.o.payload)
        h.claim(f"as it is: {name}", ~fifo.i.valid | same)

    # Beats: the bursts leave their FIFO with their announced length.
    _same(h, "beats go into their FIFO", dut.i, beats.i)
    sent = bus.wvalid & bus.wready
    stays(h, "W", bus.wvalid, bus.wready, bus.wdata, bus.wstrb, bus.wlast)
    left = Signal(5, name="reference_left")
    with h.m.If(moves(begun.o)):
        h.m.d.sync += left.eq(begun.o.p.beats)
    with h.m.Elif(sent):
        h.m.d.sync += left.eq(left - 1)
    h.claim("a burst is begun when the one before is sent", ~moves(begun.o) | (left == sent))
    h.claim("beats are those of a burst", ~bus.wvalid | (left != 0))
    h.claim("wlast is in a burst's last beat", ~bus.wvalid | (bus.wlast == (left == 1)))
    h.claim("all bytes are written", bus.wstrb == 0xFF)
    h.claim("a beat is the FIFO's", ~bus.wvalid | (bus.wdata == beats.o.payload))
    h.claim("one beat leaves the FIFO for each sent", moves(beats.o) == sent)
    h.claim("beats that are there are sent", (left == 0) | ~beats.o.valid | bus.wvalid)

    # Acknowledgements: memory answers each burst that was sent once.
    open_ = Signal(range(32), name="open")
    acknowledged = bus.bvalid & bus.bready
    h.assume(~bus.bvalid | ((open_ != 0) & unacknowledged.o.valid))
    h.m.d.sync += open_.eq(open_ + moves(splitter.o) - acknowledged)
    h.claim("acknowledgements are taken at once", bus.bready)
    h.claim("each ends one burst", moves(unacknowledged.o) == acknowledged)
    # The count of bursts in flight is a cycle late; a valid address counts at once.
    busy = (open_ != 0) | bus.awvalid
    _idle(h, dut, ~busy & ~before(h, open_ != 0, "opened"))
    last = before(h, acknowledged & unacknowledged.o.p.last, "last")
    h.claim("a command is done when its last burst is acknowledged", dut.done == last)
    asked, arrived = Signal(5, name="asked"), Signal(5, name="arrived")
    h.m.d.comb += [
        asked.eq(Mux(bus.awvalid & bus.awready, bus.awlen[:4] + 1, 0)),
        arrived.eq(Mux(acknowledged, unacknowledged.o.p.beats, 0)),
    ]
    _counts(h, dut, asked, arrived, before(h, Mux(acknowledged, bus.bresp, 0), "resp"))
    h.cover("a burst is sent", sent & bus.wlast & (dut.control.expected != 0))
    h.cover("a command is done", dut.done)
    return h
