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

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.axi import BURST_INCR, MAX_BURST, axi_read, axi_write
from penstock.hw.bus.burst_splitter import BurstSplitter, burst_layout, command_layout
from penstock.hw.lib.fifo import MAX_DISTRIBUTED, Fifo
from penstock.hw.lib.split_counter import counted
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.spec.memory import BEAT_BYTES

__all__ = ["COMMANDS", "ReadDma", "WriteDma", "dma_control"]

# AxSIZE is the base-2 logarithm of a beat's bytes.
_SIZE = BEAT_BYTES.bit_length() - 1

COMMANDS = 4

# Most write bursts that wait for their acknowledgement.
_WRITES = 16


def dma_control() -> wiring.Signature:
    """Signature of what the registers say to a DMA and hear of it, from their side.

    base : Out(32)
        Memory address that commands are relative to, a multiple of 8; constant while any is under
        way.
    halt : Out(1)
        Begin no burst any more, from the second cycle on; what was begun is finished.
    idle : In(1)
        Nothing is under way, for some cycles.
    expected, received : In(32)
        Beats asked for (the address was accepted), beats that memory has answered; both three
        cycles late.
    error : In(2)
        The first response that was SLVERR or DECERR, a cycle sooner than the counts have it; it
        holds.
    """
    return wiring.Signature(
        {
            "base": Out(32),
            "halt": Out(1),
            "idle": In(1),
            "expected": In(32),
            "received": In(32),
            "error": In(2),
        }
    )


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


def _settled(m: Module, quiet: Value) -> Value:
    """Return whether it has been quiet for three cycles: what is counted late is complete then."""
    still = Signal(2)
    m.d.sync += still.eq(Cat(quiet, still))
    return quiet & still.all()


class _Dma(wiring.Component):
    """What DMAs of both directions have: queued commands, bursts, a FIFO of beats, counts."""

    # Of the bus's address channel.
    _PREFIX: ClassVar[str]

    def __init__(
        self, members: Mapping[str, wiring.Member], *, depth: int, commands: int, count_bits: int
    ) -> None:
        if not isinstance(depth, int) or depth < MAX_BURST or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least {MAX_BURST}, not {depth!r}")
        if not isinstance(commands, int) or commands < 0:
            raise ValueError(f"commands must not be negative, not {commands!r}")
        self.depth = depth
        self.commands = commands
        self.count_bits = count_bits
        shared = {"control": In(dma_control()), "cmd": In(stream.Signature(command_layout))}
        super().__init__({**shared, **members})

    def _bursts(self, m: Module) -> stream.Interface:
        """Split up the commands, queued if they are to be."""
        m.submodules.splitter = splitter = BurstSplitter()
        m.d.comb += splitter.base.eq(self.control.base)
        given = flipped(self.cmd)
        if self.commands:
            m.submodules.commands = queue = Fifo(shape=command_layout, depth=self.commands)
            connect(m, given, queue.i)
            given = queue.o
        connect(m, given, splitter.i)
        return splitter.o

    def _fifo(self, m: Module) -> Fifo:
        """Hold beats on their way to or from memory."""
        m.submodules.beats = beats = Fifo(
            shape=64, depth=self.depth, block=self.depth > MAX_DISTRIBUTED
        )
        return beats

    def _address(self, name: str) -> Value:
        """A member of the bus's address channel."""
        return getattr(self.bus, self._PREFIX + name)

    def _request(self, m: Module, issue: Value, burst: data.View) -> None:
        """Put a burst's address on the bus when it is issued, and keep it there until it is taken.

        None is issued while one is there that is not taken.
        """
        of = self._address
        m.d.comb += [of("size").eq(_SIZE), of("burst").eq(BURST_INCR)]
        with m.If(issue):
            m.d.sync += [
                of("valid").eq(1),
                of("addr").eq(burst.addr),
                of("len").eq(burst.beats - 1),
            ]
        with m.Elif(of("ready")):
            m.d.sync += of("valid").eq(0)

    def _count(self, m: Module, *, arrived: Value, resp: Value) -> Signal:
        """Count beats and keep the first error; return the beats asked for in the cycle before.

        `arrived` and `resp` are late already.
        """
        m.submodules.status = status = _Status(bits=self.count_bits)
        of = self._address
        asked = Signal(5)
        m.d.sync += asked.eq(Mux(of("valid") & of("ready"), of("len")[:4] + 1, 0))
        m.d.comb += [
            status.asked.eq(asked),
            status.arrived.eq(arrived),
            status.resp.eq(resp),
            self.control.expected.eq(status.expected),
            self.control.received.eq(status.received),
            self.control.error.eq(status.error),
        ]
        return asked


class ReadDma(_Dma):
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
    control : In(dma_control())
        `idle`: no request is up and nothing is on its way, for three cycles.  A request that is up
        when `halt` comes stays until it is taken, and beats on their way are still taken.  After an
        error the stream goes on.
    cmd : In(stream of command_layout)
        If queued, the beats of consecutive commands follow each other without a gap.
    bus : Out(axi_read)
    o : Out(stream of 64 bits)
    waiting : Out(1)
        Memory kept the port waiting in the cycle before: a request or beats were on their way and
        no beat came.
    """

    _PREFIX = "ar"

    def __init__(self, *, depth: int = 128, commands: int = COMMANDS, count_bits: int = 32) -> None:
        super().__init__(
            {
                "bus": Out(axi_read()),
                "o": Out(stream.Signature(64)),
                "waiting": Out(1),
            },
            depth=depth,
            commands=commands,
            count_bits=count_bits,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, burst, beats = self.bus, self._bursts(m), self._fifo(m)
        connect(m, beats.o, flipped(self.o))
        credit = Signal(range(self.depth + 1), init=self.depth)
        may = Signal(init=1)  # always `credit[4:] != 0`, if it was not halted
        pending = Signal(range(self.depth + 1))
        issue = Signal()
        # What the bus did, a cycle late: its pins are far away.
        accepted, arrived, resp = Signal(), Signal(), Signal(2)
        quiet = Signal()
        asked = self._count(m, arrived=arrived, resp=resp)
        m.d.comb += [
            burst.ready.eq(may & (~bus.arvalid | bus.arready)),
            issue.eq(burst.valid & burst.ready),
            bus.rready.eq(1),
            beats.i.payload.eq(bus.rdata),
            beats.i.valid.eq(bus.rvalid),
            # What was asked for in the cycle before has not come before now.
            quiet.eq(~bus.arvalid & ~accepted & (pending == arrived)),
            self.control.idle.eq(_settled(m, quiet)),
        ]
        # Counted a cycle late: the splitter's next burst comes two cycles after this one.
        spent, returned = Signal(6), Signal()
        credit_next = _sum(credit, spent, returned)
        m.d.sync += [
            spent.eq(Mux(issue, -burst.p.beats, 0)),
            returned.eq(self.o.valid & self.o.ready),
            credit.eq(credit_next),
            # Room for a longest burst costs a look at the upper bits, room for this one a compare.
            may.eq((credit_next[4:] != 0) & ~self.control.halt),
            accepted.eq(bus.arvalid & bus.arready),
            arrived.eq(bus.rvalid),
            resp.eq(Mux(bus.rvalid, bus.rresp, 0)),
            pending.eq(pending + asked - arrived),
            self.waiting.eq(~quiet & ~bus.rvalid),
        ]
        self._request(m, issue, burst.p)
        return m


class WriteDma(_Dma):
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
    control : In(dma_control())
        `idle`: no burst is begun and not acknowledged, for four cycles.
    cmd : In(stream of command_layout)
        If queued, the beats of consecutive commands follow each other without a gap.
    i : In(stream of 64 bits)
        The beats, command after command.  They may come before their command.
    bus : Out(axi_write)
        Up to 16 bursts wait for their acknowledgement.
    done : Out(1)
        Pulse for each command: memory has acknowledged all its bursts.
    """

    _PREFIX = "aw"

    def __init__(self, *, depth: int = 64, commands: int = COMMANDS, count_bits: int = 32) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(64)),
                "bus": Out(axi_write()),
                "done": Out(1),
            },
            depth=depth,
            commands=commands,
            count_bits=count_bits,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        burst, beats = self._bursts(m), self._fifo(m)
        m.submodules.begun = begun = Fifo(shape=burst_layout, depth=_WRITES)
        m.submodules.unacknowledged = unacknowledged = Fifo(shape=burst_layout, depth=_WRITES)
        connect(m, flipped(self.i), beats.i)
        issue = self._addresses(m, burst, begun, unacknowledged)
        self._beats(m, beats, begun)
        self._acknowledgements(m, issue, unacknowledged)
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
                & ~self.control.halt
            ),
        ]
        self._request(m, issue, burst.p)
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

    def _acknowledgements(self, m: Module, issue: Signal, unacknowledged: Fifo) -> None:
        """Complete bursts, in the order they were begun."""
        bus = self.bus
        # Counted a cycle late; until then `bus.awvalid` tells of a burst that begins.
        pending = Signal(range(2 * _WRITES))
        begins, ends = Signal(), Signal()
        arrived, resp = Signal(5), Signal(2)
        burst = unacknowledged.o
        self._count(m, arrived=arrived, resp=resp)
        m.d.comb += [
            bus.bready.eq(1),
            burst.ready.eq(bus.bvalid),
            self.control.idle.eq(_settled(m, ~bus.awvalid & (pending == 0))),
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
