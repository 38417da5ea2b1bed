"""DMA engines: commands of any length to AXI bursts.

::

    cmd -> queue -> BurstSplitter -> credits -> AR                ReadDma
                                     FIFO   <-- R
    cmd -> queue -> BurstSplitter -> data there? -> AW            WriteDma
                           data -> FIFO ----------> W
                           done <- bursts in order  <- B

Commands are relative to a base address, which the splitter adds.  Bursts end on multiples of 16
beats of memory, so they never cross 4 KiB, and an unaligned command costs one burst more.
Consecutive commands follow each other without a gap, if they have three beats or more: the splitter
needs two cycles for a burst and one for a command, whatever the memory's latency.
"""

from __future__ import annotations

from functools import partial

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.axi import BURST_INCR, MAX_BURST, axi_read, axi_write
from penstock.hw.lib.fifo import MAX_DISTRIBUTED, Fifo
from penstock.hw.lib.split_counter import counted
from penstock.hw.lib.timing_policy import policy_of

__all__ = ["COMMANDS", "BurstSplitter", "ReadDma", "WriteDma", "burst_layout", "command_layout"]

# Beats are 8 bytes: AxSIZE is their base-2 logarithm.
_SIZE = 3

# Addresses of beats are computed in two halves: these bits, and 16 more.
_LOW_BITS = 13

COMMANDS = 4

# Most write bursts that wait for their acknowledgement.
_WRITES = 16

command_layout = data.StructLayout({"addr": unsigned(32), "beats": unsigned(24)})
"""Beats from a byte address (a multiple of 8, relative to the DMA's `base`) on; at least 1."""

burst_layout = data.StructLayout({"addr": unsigned(32), "beats": unsigned(5), "last": unsigned(1)})
"""A burst of 1 to 16 beats from an address of memory on; `last` if it is its command's last one."""


def _check(depth: int, commands: int) -> None:
    if not isinstance(depth, int) or depth < MAX_BURST or depth & (depth - 1):
        raise ValueError(f"depth must be a power of two of at least {MAX_BURST}, not {depth!r}")
    if not isinstance(commands, int) or commands < 0:
        raise ValueError(f"commands must not be negative, not {commands!r}")


class BurstSplitter(wiring.Component):
    """Splits commands into bursts that end on multiples of 16 beats, from a base address on.

    Members
    -------
    base : In(32)
        Added to a command's address when the command is taken; a multiple of 8.
    i : In(stream of command_layout)
    o : Out(stream of burst_layout)
        One burst every two cycles at most, the first of a command a cycle later.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "base": In(32),
                "i": In(stream.Signature(command_layout)),
                "o": Out(stream.Signature(burst_layout)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # In beats.  The carry reaches the upper half when the next burst is computed.
        low, carry = Signal(_LOW_BITS, reset_less=True), Signal(reset_less=True)
        high = Signal(29 - _LOW_BITS, reset_less=True)
        left = Signal(24, reset_less=True)
        burst = Signal(burst_layout, reset_less=True)
        room = Signal(range(MAX_BURST + 1))
        given, base = self.i.p.addr[_SIZE:], self.base[_SIZE:]
        m.d.comb += [
            room.eq(MAX_BURST - low[:4]),
            self.o.payload.eq(burst),
        ]

        # Length, and what is left after it, are computed in different cycles.
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    Cat(low, carry).eq(given[:_LOW_BITS] + base[:_LOW_BITS]),
                    high.eq(given[_LOW_BITS:] + base[_LOW_BITS:]),
                    left.eq(self.i.p.beats),
                ]
                with m.If(self.i.valid):
                    m.next = "compute"
            with m.State("compute"):
                # Most of the length is only compared with 0, which takes no carry.
                fits = ~left[len(room) :].any() & (left[: len(room)] <= room)
                here = (high + carry)[: len(high)]
                m.d.sync += [
                    burst.addr.eq(Cat(Const(0, _SIZE), low, here)),
                    burst.beats.eq(Mux(fits, left, room)),
                    burst.last.eq(fits),
                    Cat(low, carry).eq(Cat(Const(0, 4), low[4:] + 1)),
                    high.eq(here),
                ]
                m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += left.eq(left - burst.beats)
                    with m.If(burst.last):
                        m.next = "idle"
                    with m.Else():
                        m.next = "compute"
        return m


class _Status(wiring.Component):
    """Counts beats and keeps the first error of a bus.

    Parameters
    ----------
    bits : int
        Width of the counts; they wrap.

    Members
    -------
    asked, arrived : In(5)
        Beats requested and beats arrived in this cycle.
    resp : In(2)
        Response in this cycle, 0 if there is none.
    expected, received : Out(32)
        Their sums, `hw.lib.split_counter.COUNT_LATENCY` cycles late.
    error : Out(2)
        The first SLVERR or DECERR; it holds.
    """

    def __init__(self, *, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {
                "asked": In(5),
                "arrived": In(5),
                "resp": In(2),
                "expected": Out(32),
                "received": Out(32),
                "error": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = partial(counted, m, bits=self.bits, timing=policy_of(platform))
        m.d.comb += [
            self.expected.eq(count(self.asked, name="expected")),
            self.received.eq(count(self.arrived, name="received")),
        ]
        with m.If(self.resp[1] & (self.error == 0)):
            m.d.sync += self.error.eq(self.resp)
        return m


def _sum(count: Signal, change: Signal, one: Value) -> Value:
    """Return `count`, changed by a signed number and by one or none, in a single carry chain."""
    return (Cat(Const(1, 1), count) + Cat(one, change).as_signed())[1 : len(count) + 1]


def _queue(m: Module, depth: int, given: stream.Interface, taken: stream.Interface) -> None:
    """Connect commands to the splitter, through a queue if there is to be one."""
    if depth:
        m.submodules.commands = commands = Fifo(shape=command_layout, depth=depth)
        connect(m, given, commands.i)
        given = commands.o
    connect(m, given, taken)


def _settled(m: Module, quiet: Value) -> Value:
    """Return whether it has been quiet for three cycles: what is counted late is complete then."""
    still = Signal(2)
    m.d.sync += still.eq(Cat(quiet, still))
    return quiet & still.all()


class ReadDma(wiring.Component):
    """Reads memory and gives the beats as a stream.

    A burst is requested only when the FIFO has room for 16 beats more than are on their way, so
    every beat is taken in the cycle it comes.

    Parameters
    ----------
    depth : int
        Beats the FIFO holds, a power of two of at least 16.  ``depth / 16`` bursts are on their way
        at once: 64 hide a memory latency of 40 cycles, more give margin.
    commands : int
        Commands that are queued; 0: one is taken when the one before has been split up.
    count_bits : int
        Width of `expected` and `received`; they wrap.

    Members
    -------
    base : In(32)
        Memory address that commands are relative to, a multiple of 8; constant while any is under
        way.
    cmd : In(stream of command_layout)
        If queued, the beats of consecutive commands follow each other without a gap.
    bus : Out(axi_read)
    o : Out(stream of 64 bits)
    halt : In(1)
        Request nothing more, from the second cycle on.  A request that is up stays until it is
        taken; beats on their way are still taken.
    idle : Out(1)
        No request is up and nothing is on its way, for three cycles.
    expected, received : Out(32)
        Beats requested (the address was accepted), beats arrived; both three cycles late.
    error : Out(2)
        The first response that was SLVERR or DECERR, a cycle sooner than the counts have it; it
        holds.  The stream goes on.
    waiting : Out(1)
        Memory kept the port waiting in the cycle before: a request or beats were on their way and
        no beat came.
    """

    def __init__(self, *, depth: int = 128, commands: int = COMMANDS, count_bits: int = 32) -> None:
        _check(depth, commands)
        self.depth = depth
        self.commands = commands
        self.count_bits = count_bits
        super().__init__(
            {
                "base": In(32),
                "cmd": In(stream.Signature(command_layout)),
                "bus": Out(axi_read()),
                "o": Out(stream.Signature(64)),
                "halt": In(1),
                "idle": Out(1),
                "expected": Out(32),
                "received": Out(32),
                "error": Out(2),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.beats = beats = Fifo(
            shape=64, depth=self.depth, block=self.depth > MAX_DISTRIBUTED
        )
        m.submodules.status = status = _Status(bits=self.count_bits)
        _queue(m, self.commands, flipped(self.cmd), splitter.i)
        connect(m, beats.o, flipped(self.o))

        bus, burst = self.bus, splitter.o
        credit = Signal(range(self.depth + 1), init=self.depth)
        may = Signal(init=1)  # always `credit[4:] != 0`, if it was not halted
        pending = Signal(range(self.depth + 1))
        issue = Signal()
        # What the bus did, a cycle late: its pins are far away.
        accepted, asked, arrived, resp = Signal(), Signal(5), Signal(), Signal(2)
        quiet = Signal()
        m.d.comb += [
            splitter.base.eq(self.base),
            burst.ready.eq(may & (~bus.arvalid | bus.arready)),
            issue.eq(burst.valid & burst.ready),
            bus.arsize.eq(_SIZE),
            bus.arburst.eq(BURST_INCR),
            bus.rready.eq(1),
            beats.i.payload.eq(bus.rdata),
            beats.i.valid.eq(bus.rvalid),
            status.asked.eq(asked),
            status.arrived.eq(arrived),
            status.resp.eq(resp),
            self.expected.eq(status.expected),
            self.received.eq(status.received),
            self.error.eq(status.error),
            # What was asked for in the cycle before has not come before now.
            quiet.eq(~bus.arvalid & ~accepted & (pending == arrived)),
            self.idle.eq(_settled(m, quiet)),
        ]
        # Counted a cycle late: the splitter's next burst comes two cycles after this one.
        spent, returned = Signal(6), Signal()
        credit_next = _sum(credit, spent, returned)
        m.d.sync += [
            spent.eq(Mux(issue, -burst.p.beats, 0)),
            returned.eq(self.o.valid & self.o.ready),
            credit.eq(credit_next),
            # Room for a longest burst costs a look at the upper bits, room for this one a compare.
            may.eq((credit_next[4:] != 0) & ~self.halt),
            accepted.eq(bus.arvalid & bus.arready),
            asked.eq(Mux(bus.arvalid & bus.arready, bus.arlen[:4] + 1, 0)),
            arrived.eq(bus.rvalid),
            resp.eq(Mux(bus.rvalid, bus.rresp, 0)),
            pending.eq(pending + asked - arrived),
            self.waiting.eq(~quiet & ~bus.rvalid),
        ]
        with m.If(issue):
            m.d.sync += [
                bus.arvalid.eq(1),
                bus.araddr.eq(burst.p.addr),
                bus.arlen.eq(burst.p.beats - 1),
            ]
        with m.Elif(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        return m


class WriteDma(wiring.Component):
    """Writes a stream of beats to memory.

    A burst's address is sent when all its beats are in the FIFO, so a burst never stalls the bus,
    and every burst that was begun can be finished whatever happens at the input.

    Parameters
    ----------
    depth : int
        Beats the FIFO holds, a power of two of at least 16.
    commands, count_bits
        As in `ReadDma`.

    Members
    -------
    base : In(32)
        Memory address that commands are relative to, a multiple of 8; constant while any is under
        way.
    cmd : In(stream of command_layout)
        If queued, the beats of consecutive commands follow each other without a gap.
    i : In(stream of 64 bits)
        The beats, command after command.  They may come before their command.
    bus : Out(axi_write)
        Up to 16 bursts wait for their acknowledgement.
    done : Out(1)
        Pulse for each command: memory has acknowledged all its bursts.
    halt : In(1)
        Begin no burst any more, from the second cycle on; what was begun is finished.
    idle : Out(1)
        No burst is begun and not acknowledged, for four cycles.
    expected, received : Out(32)
        Beats asked to be written (the address was accepted), beats acknowledged; both three cycles
        late.
    error : Out(2)
        The first response that was SLVERR or DECERR, a cycle sooner than the counts have it; it
        holds.
    """

    def __init__(self, *, depth: int = 64, commands: int = COMMANDS, count_bits: int = 32) -> None:
        _check(depth, commands)
        self.depth = depth
        self.commands = commands
        self.count_bits = count_bits
        super().__init__(
            {
                "base": In(32),
                "cmd": In(stream.Signature(command_layout)),
                "i": In(stream.Signature(64)),
                "bus": Out(axi_write()),
                "done": Out(1),
                "halt": In(1),
                "idle": Out(1),
                "expected": Out(32),
                "received": Out(32),
                "error": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.beats = beats = Fifo(
            shape=64, depth=self.depth, block=self.depth > MAX_DISTRIBUTED
        )
        m.submodules.begun = begun = Fifo(shape=burst_layout, depth=_WRITES)
        m.submodules.unacknowledged = unacknowledged = Fifo(shape=burst_layout, depth=_WRITES)
        m.submodules.status = status = _Status(bits=self.count_bits)
        _queue(m, self.commands, flipped(self.cmd), splitter.i)
        connect(m, flipped(self.i), beats.i)

        m.d.comb += splitter.base.eq(self.base)
        issue = self._addresses(m, splitter.o, begun, unacknowledged)
        self._beats(m, beats, begun)
        self._acknowledgements(m, issue, unacknowledged, status)
        asked = Signal(5)
        m.d.sync += asked.eq(Mux(self.bus.awvalid & self.bus.awready, self.bus.awlen[:4] + 1, 0))
        m.d.comb += [
            status.asked.eq(asked),
            self.expected.eq(status.expected),
            self.received.eq(status.received),
            self.error.eq(status.error),
        ]
        return m

    def _addresses(
        self, m: Module, burst: stream.Interface, begun: Fifo, unacknowledged: Fifo
    ) -> Signal:
        """Begin bursts; returns the pulse of each."""
        bus = self.bus
        # Beats in the FIFO that belong to no burst yet.
        free = Signal(range(self.depth + 3))
        enough = Signal()
        issue = Signal()
        m.d.comb += [
            issue.eq(enough & (~bus.awvalid | bus.awready)),
            burst.ready.eq(issue),
            begun.i.payload.eq(burst.payload),
            begun.i.valid.eq(issue),
            unacknowledged.i.payload.eq(burst.payload),
            unacknowledged.i.valid.eq(issue),
            bus.awsize.eq(_SIZE),
            bus.awburst.eq(BURST_INCR),
        ]
        spent = Signal(6)
        m.d.sync += [
            # What goes is counted a cycle late, and the comparison has a cycle of its own: the
            # splitter never follows a burst at once.
            spent.eq(Mux(issue, -burst.p.beats, 0)),
            free.eq(_sum(free, spent, self.i.valid & self.i.ready)),
            enough.eq(
                burst.valid
                & (free >= burst.p.beats)
                & begun.i.ready
                & unacknowledged.i.ready
                & ~issue
                & ~self.halt
            ),
        ]
        with m.If(issue):
            m.d.sync += [
                bus.awvalid.eq(1),
                bus.awaddr.eq(burst.p.addr),
                bus.awlen.eq(burst.p.beats - 1),
            ]
        with m.Elif(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        return issue

    def _beats(self, m: Module, beats: Fifo, begun: Fifo) -> None:
        """Send the beats of begun bursts.  AXI forbids waiting for the address's acceptance."""
        bus = self.bus
        active = Signal()
        left = Signal(range(MAX_BURST))
        sent = Signal()
        m.d.comb += [
            bus.wdata.eq(beats.o.payload),
            bus.wstrb.eq(0xFF),
            bus.wvalid.eq(active & beats.o.valid),
            beats.o.ready.eq(active & bus.wready),
            sent.eq(bus.wvalid & bus.wready),
            begun.o.ready.eq(~active | (sent & bus.wlast)),
        ]
        with m.If(begun.o.ready):
            m.d.sync += [
                active.eq(begun.o.valid),
                left.eq(begun.o.p.beats - 1),
                bus.wlast.eq(begun.o.p.beats == 1),
            ]
        with m.Elif(sent):
            m.d.sync += [left.eq(left - 1), bus.wlast.eq(left == 1)]

    def _acknowledgements(
        self, m: Module, issue: Signal, unacknowledged: Fifo, status: _Status
    ) -> None:
        """Complete bursts, in the order they were begun."""
        bus = self.bus
        # Counted a cycle late; until then `bus.awvalid` tells of a burst that begins.
        pending = Signal(range(2 * _WRITES))
        begins, ends = Signal(), Signal()
        arrived, resp = Signal(5), Signal(2)
        burst = unacknowledged.o
        m.d.comb += [
            bus.bready.eq(1),
            burst.ready.eq(bus.bvalid),
            status.arrived.eq(arrived),
            status.resp.eq(resp),
            self.idle.eq(_settled(m, ~bus.awvalid & (pending == 0))),
        ]
        m.d.sync += [
            begins.eq(issue),
            ends.eq(bus.bvalid),
            pending.eq(pending + begins - ends),
            # The error is not much sooner than the count: a run that ends with it shows its burst.
            arrived.eq(Mux(bus.bvalid, burst.p.beats, 0)),
            resp.eq(Mux(bus.bvalid, bus.bresp, 0)),
            self.done.eq(bus.bvalid & burst.p.last),
        ]
