"""The POST (post-processing) engine: output buffer -> LRN (optional) -> max pool -> memory."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.lrn import LrnLanes, table_port
from penstock.hw.engines.pool import MaxPool, pool_control
from penstock.hw.engines.post_scan import PostScan
from penstock.hw.lib.buffer import READ_LATENCY
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.memory_ports import read_port
from penstock.hw.lib.stream import Downsizer
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["UNACKNOWLEDGED", "PostEngine"]

# Finished words that wait for memory.  A word counts from the moment its last pixel is asked for,
# so this also covers the pipeline's latency, with LRN about 30 cycles or 10 words.
_WORDS_AHEAD = 32
# Descriptors whose data is sent and whose write memory has not acknowledged.
UNACKNOWLEDGED = 4


class Plane(IntEnum):
    """Which channel block a read is of."""

    PREV = 0
    OWN = 1
    NEXT = 2


_READ = data.StructLayout({"valid": 1, "use": 1, "plane": Plane, "control": pool_control()})


class PostEngine(wiring.Component):
    """Normalises and pools finished rows, and writes them to memory.

    ::

        scan --> reads --(out)--> window --> LRN --.
                                     |              v
                                     '----------> max pool --> FIFO --> downsizer --> o

    One pixel a cycle, with LRN one every `interval` cycles: three reads (the planes before and
    after give the neighbouring channels), then ``rows / lrn_lanes`` cycles in the lanes.  Nothing
    between the scan and the FIFO can stall: a pixel that completes an output word is read only
    when the FIFO will have room for the word.

    A descriptor is taken when the beats of the one before have all been handed over; it need not
    have been acknowledged.

    Parameters
    ----------
    arch : Arch
        With ``lrn_lanes == 0`` the engine has no LRN, and ignores the field `lrn`.

    Members
    -------
    i : In(stream of descriptor(Op.POST))
        Its waits are met.
    done : Out(1)
        Pulse: the oldest descriptor is complete, memory has acknowledged it.
    mark : Out(1)
        With `done`: the descriptor has its `mark` set.
    out : In(read_port())
        The output buffer; data comes `READ_LATENCY` cycles after the address.
    table : Out(table_port())
        The LRN table, see `LrnLane`.
    cmd : Out(stream of command_layout)
        To the write DMA, one for each descriptor.
    o : Out(stream of 64 bits)
        The beats of those writes.
    written : In(1)
        Pulse: the oldest command is acknowledged.
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.POST))),
                "done": Out(1),
                "mark": Out(1),
                "out": In(read_port(addr=range(arch.out_words), data=arch.rows * 8)),
                "table": Out(table_port()),
                "cmd": Out(stream.Signature(command_layout)),
                "o": Out(stream.Signature(64)),
                "written": In(1),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles a pixel takes with LRN."""
        if self.arch.lrn_lanes == 0:
            return 1
        return max(len(Plane), self.arch.rows // self.arch.lrn_lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self.arch.rows
        d = Signal(descriptor(Op.POST), reset_less=True)
        lrn = d.lrn if self.arch.lrn_lanes else Const(0)

        m.submodules.scan = scan = PostScan(words=self.arch.out_words)
        m.submodules.pool = pool = MaxPool(rows=rows)
        m.submodules.fifo = fifo = Fifo(shape=rows * 8, depth=_WORDS_AHEAD)
        m.submodules.downsizer = downsizer = Downsizer(in_bytes=rows, out_bytes=8)

        start = Signal()
        keep = Signal(rows, reset_less=True)
        m.d.comb += [scan.d.eq(d), scan.start.eq(start), pool.kernel.eq(d.kernel)]
        self._take(m, d, start, policy_of(platform))
        m.d.sync += keep.eq(Cat(d.channels > c for c in range(rows)))

        read = self._reads(m, d, lrn, scan, taken=fifo.o.valid & fifo.o.ready)

        # The pixel, and with LRN its neighbours, padding and channels that do not exist being 0.
        pixel = [Signal(8, name=f"pixel_{c}", reset_less=True) for c in range(rows)]
        around = [Signal(8, name=f"around_{c}", reset_less=True) for c in range(4)]
        given = [self.out.data.word_select(c, 8) for c in range(rows)]
        direct = Signal()
        start_lrn = Signal()
        control = Signal(pool_control(), reset_less=True)
        m.d.sync += [
            direct.eq(read.valid & ~lrn),
            start_lrn.eq(read.valid & (read.plane == Plane.NEXT)),
            control.eq(read.control),
        ]
        with m.If(read.valid), m.Switch(read.plane):
            with m.Case(Plane.PREV):
                for c in range(2):
                    m.d.sync += around[c].eq(Mux(read.use, given[rows - 2 + c], 0))
            with m.Case(Plane.OWN):
                for c in range(rows):
                    m.d.sync += pixel[c].eq(Mux(read.use & keep[c], given[c], 0))
            with m.Default():
                for c in range(2):
                    exists = read.use & (d.next_channels > c)
                    m.d.sync += around[2 + c].eq(Mux(exists, given[c], 0))

        if self.arch.lrn_lanes:
            m.submodules.lrn = lanes = LrnLanes(rows=rows, lanes=self.arch.lrn_lanes)
            connect(m, flipped(self.table), lanes.table)
            m.d.comb += [
                lanes.shift.eq(d.lrn_shift),
                lanes.i_start.eq(start_lrn),
                lanes.i_window.eq(Cat(*around[:2], *pixel, *around[2:])),
            ]
            # Control of the pixel, delayed by one shift register for each bit.
            late = []
            for bit in range(len(control.as_value())):
                history = Signal(lanes.latency, name=f"control_{bit}", reset_less=True)
                m.d.sync += history.eq(Cat(control.as_value()[bit], history))
                late.append(history[-1])
            m.d.sync += [
                pool.i_valid.eq(Mux(lrn, lanes.o_valid, direct)),
                pool.i_control.eq(Mux(lrn, Cat(*late), control.as_value())),
                pool.i_pixel.eq(Mux(lrn, lanes.o_word, Cat(*pixel))),
            ]
        else:
            m.d.comb += [
                pool.i_valid.eq(direct),
                pool.i_control.eq(control),
                pool.i_pixel.eq(Cat(*pixel)),
            ]

        m.d.comb += [
            fifo.i.valid.eq(pool.o_valid),
            fifo.i.payload.eq(pool.o_pixel),
            downsizer.row_words.eq(d.out_w),
        ]
        connect(m, fifo.o, downsizer.i)
        connect(m, downsizer.o, flipped(self.o))
        return m

    def _take(self, m: Module, d: data.View, start: Signal, timing: TimingPolicy) -> None:
        """Take descriptors into `d`, command the write DMA, count what it acknowledges."""
        busy = Signal()
        idle = timing.duplicate(init=1, name="idle")  # always `~busy`, for the many bits of `d`
        take = Signal()
        beats = Signal(24, reset_less=True)
        marks = Signal(UNACKNOWLEDGED, reset_less=True)
        # One bit for each number there may be: no sum, no compare.
        waiting = Signal(UNACKNOWLEDGED + 1, init=1)
        more, fewer = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~busy & ~self.cmd.valid & ~waiting[-1]),
            take.eq(self.i.valid & self.i.ready),
            self.done.eq(self.written),
            self.mark.eq(self.written & (marks & waiting[1:]).any()),
            more.eq(take & ~self.written),
            fewer.eq(self.written & ~take),
        ]
        m.d.sync += [
            start.eq(take),
            waiting.eq(
                Mux(more, waiting << 1, 0)
                | Mux(fewer, waiting >> 1, 0)
                | Mux(more | fewer, 0, waiting)
            ),
        ]
        with m.If(take):
            m.d.sync += [
                busy.eq(1),
                idle.eq(0),
                beats.eq(self.i.p.beats),
                marks.eq(Cat(self.i.p.mark, marks)),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += beats.eq(beats - 1)
            with m.If(beats == 1):
                m.d.sync += [busy.eq(0), idle.eq(1)]
        with m.If(idle):  # what counts is there in the cycle of `take`
            m.d.sync += d.eq(self.i.payload)
        with m.If(start):
            m.d.sync += [
                self.cmd.valid.eq(1),
                self.cmd.p.addr.eq(d.mem),
                self.cmd.p.beats.eq(d.beats),
            ]
        with m.Elif(self.cmd.ready):
            m.d.sync += self.cmd.valid.eq(0)

    def _reads(
        self, m: Module, d: data.View, lrn: Signal, scan: PostScan, taken: Signal
    ) -> data.View:
        """Read the pixels of the scan; return what each word of `out` is, as it arrives.

        `taken` says that a word has left the FIFO.
        """
        # Room in the FIFO that no word on its way has claimed.  Words are counted late, to keep the
        # scan's path short: `has_room` does not know of the last two claims.
        room = Signal(range(_WORDS_AHEAD + 1), init=_WORDS_AHEAD)
        has_room = Signal()
        claimed, freed = Signal(), Signal()
        slot = Signal(range(max(2, self.interval)))
        waits = Signal()  # always `slot != 0`
        accept = Signal()
        claim = Signal()
        m.d.comb += [
            scan.o.ready.eq(~waits & (~scan.o.p.control.emit | has_room)),
            accept.eq(scan.o.valid & scan.o.ready),
            claim.eq(accept & scan.o.p.control.emit),
        ]
        m.d.sync += [
            claimed.eq(claim),
            freed.eq(taken),
            room.eq(room + freed - claimed),
            has_room.eq(room > 2),
        ]
        with m.If(accept & lrn):
            m.d.sync += [slot.eq(self.interval - 1), waits.eq(self.interval > 1)]
        with m.Elif(waits):
            m.d.sync += [slot.eq(slot - 1), waits.eq(slot != 1)]

        # The pixel, held while its planes are read one after the other.
        valid = Signal()
        plane = Signal(Plane, reset_less=True)
        pixel = Signal.like(scan.o.payload, reset_less=True)
        distance = Signal.like(self.out.addr, reset_less=True)
        # Step from the pixel to the plane: a sum, or minus `distance` as its complement and 1.
        way = Signal.like(self.out.addr)
        one = Signal()
        with m.If(accept):
            m.d.sync += [
                valid.eq(1),
                plane.eq(Mux(lrn, Plane.PREV, Plane.OWN)),
                pixel.eq(scan.o.payload),
                distance.eq(Mux(scan.o.p.halo, d.halo_step, d.step)),
            ]
        with m.Elif(lrn & (plane == Plane.PREV)):
            m.d.sync += plane.eq(Plane.OWN)
        with m.Elif(lrn & (plane == Plane.OWN)):
            m.d.sync += plane.eq(Plane.NEXT)
        with m.Else():
            m.d.sync += valid.eq(0)

        read = Signal(_READ)
        exists = Signal()
        m.d.sync += [
            read.valid.eq(valid),
            read.use.eq(valid & pixel.inside & exists),
            read.plane.eq(plane),
            read.control.eq(pixel.control),
        ]
        with m.Switch(plane):
            with m.Case(Plane.PREV):
                m.d.comb += [exists.eq(d.has_prev), way.eq(~distance), one.eq(1)]
            with m.Case(Plane.OWN):
                m.d.comb += exists.eq(1)
            with m.Default():
                m.d.comb += [exists.eq(d.next_channels != 0), way.eq(distance)]
        # One more bit below, and `one` is a carry into the same chain.
        m.d.sync += self.out.addr.eq((Cat(one, pixel.addr) + Cat(one, way)) >> 1)
        m.d.comb += self.out.en.eq(read.use)

        for _ in range(READ_LATENCY):
            arriving = Signal(_READ, name="arriving")
            m.d.sync += arriving.eq(read)
            read = arriving
        return read
