"""The LOAD engine: memory to the activation buffer, the output buffer or the LRN table.

::

    descriptors -> front: one DMA command for each plane
                     |  a short queue of descriptors
    beats from DMA -> back: count -> Upsizer -> words and their addresses -> activation / output
                                  |                                          buffer
                                  '-> beats and their addresses -> LRN table

The front runs ahead of the back, so that the beats of consecutive descriptors arrive without a gap;
the back takes none while the words of the descriptor before go through, 4 cycles, or more where
words are not whole beats.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.lrn import table_port
from penstock.hw.lib.countdown import Countdown
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.memory_ports import write_port
from penstock.hw.lib.register_slice import NoSlice, RegisterSlice
from penstock.hw.lib.split_counter import counted_down
from penstock.hw.lib.stream import Upsizer, tag_beats, word_layout
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Dest, Op

__all__ = ["AHEAD", "LoadEngine", "write_layout"]

# Of an address: the sum of these bits has a carry of its own.
_LOW_BITS = 16

# Most descriptors between front and back.
AHEAD = 4

# The fields of a descriptor that the back needs.
_FIELDS = ("dest", "base", "row_words", "row_beats", "plane_beats", "planes")


def write_layout(*, words: int, width: int) -> data.StructLayout:
    """Payload of writes that may be stalled: `addr` of `words`, and `data`."""
    return data.StructLayout({"addr": range(words), "data": unsigned(width)})


class LoadEngine(wiring.Component):
    """Loads feature maps and tables.

    Parameters
    ----------
    arch : Arch
    slices : bool
        Registers between the count of the beats and what they go into.

    Members
    -------
    i : In(stream of descriptor(Op.LOAD))
        Its waits are met.
    done : Out(1)
        Pulse for each descriptor: its last word was written in the cycle before, or is in this one.
    cmd : Out(stream of command_layout)
        To the read DMA, one command for each plane.
    data : In(stream of 64 bits)
        The beats of those commands.
    act : In(write_port())
        Words to the activation buffer.
    out : Out(stream of write_layout)
        Words to the output buffer, which DRAIN writes as well.
    table : In(table_port())
        Entry pairs to the LRN table.
    """

    def __init__(self, *, arch: Arch, slices: bool = True) -> None:
        self.arch = arch
        self.slices = slices
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.LOAD))),
                "done": Out(1),
                "cmd": Out(stream.Signature(command_layout)),
                "data": In(stream.Signature(64)),
                "act": In(write_port(addr=range(arch.act_words), data=arch.rows * 8)),
                "out": Out(
                    stream.Signature(write_layout(words=arch.out_words, width=arch.rows * 8))
                ),
                "table": In(table_port()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = descriptor(Op.LOAD)
        run_layout = data.StructLayout({name: layout[name].shape for name in _FIELDS})
        ahead = min(AHEAD, max(1, self.arch.queue_depth))
        m.submodules.runs = runs = Fifo(shape=run_layout, depth=ahead)
        # Count beats at the input; the upsizer's `ready` arrives too late in the cycle.
        kind = RegisterSlice if self.slices else NoSlice
        m.submodules.tagged = tagged = kind(shape=word_layout(8))
        m.submodules.upsizer = upsizer = Upsizer(in_bytes=8, out_bytes=self.arch.rows)
        m.submodules.ready_words = ready_words = RegisterSlice(shape=word_layout(self.arch.rows))
        connect(m, upsizer.o, ready_words.i)
        timing = policy_of(platform)
        self._front(m, runs, timing)

        # The descriptor whose beats and words pass: `words` and `beats` say what is still to come.
        run = Signal(run_layout, reset_less=True)
        beats, words = Signal(), Signal()
        # Where it goes, `dest` decoded.
        to_out, to_table = Signal(reset_less=True), Signal(reset_less=True)
        beat, entry, word = Signal(), Signal(), Signal()
        last_beat = self._count_beats(m, runs, run, beat, timing)
        finished = (word & ready_words.o.p.last) | (entry & tagged.o.p.last)
        tag_beats(m, self.data, tagged.i, more=beats, last=last_beat)
        m.d.comb += [
            beat.eq(self.data.valid & self.data.ready),
            upsizer.row_beats.eq(run.row_beats),
            upsizer.row_words.eq(run.row_words),
            upsizer.i.payload.eq(tagged.o.payload),
            upsizer.i.valid.eq(tagged.o.valid & ~to_table),
            tagged.o.ready.eq(upsizer.i.ready | to_table),
            entry.eq(tagged.o.valid & to_table),
            word.eq(ready_words.o.valid & ready_words.o.ready),
            runs.o.ready.eq(~words),
        ]
        self._write(m, run, ready_words.o, word, tagged.o, entry, to_out)
        m.d.sync += self.done.eq(finished)
        with m.If(runs.o.ready):  # after _write(), which counts in run.base
            m.d.sync += [
                run.eq(runs.o.payload),
                to_out.eq(runs.o.p.dest == Dest.OUT),
                to_table.eq(runs.o.p.dest == Dest.TABLE),
                beats.eq(runs.o.valid),
                words.eq(runs.o.valid),
            ]
        with m.Else():
            with m.If(beat & last_beat):
                m.d.sync += beats.eq(0)
            with m.If(finished):
                m.d.sync += words.eq(0)
        return m

    def _front(self, m: Module, runs: Fifo, timing: TimingPolicy) -> None:
        """Take descriptors, hand them to the back, command the DMA."""
        plane = Signal(command_layout, reset_less=True)
        step = Signal(32, reset_less=True)
        planes = Countdown(m, 16, name="plane", end=1)
        m.d.comb += [
            self.i.ready.eq((~self.cmd.valid | (self.cmd.ready & planes.last)) & runs.i.ready),
            runs.i.valid.eq(self.i.valid & self.i.ready),
            self.cmd.payload.eq(plane),
        ]
        m.d.comb += [runs.i.p[name].eq(self.i.p[name]) for name in _FIELDS]
        taken = self.cmd.valid & self.cmd.ready
        self._follow(m, plane.addr, step, taken, runs.i.valid, timing)
        with m.If(taken):
            planes.step()
            m.d.sync += self.cmd.valid.eq(~planes.last)
        with m.If(runs.i.valid):
            planes.load(self.i.p.planes)
            m.d.sync += [
                plane.addr.eq(self.i.p.mem),
                plane.beats.eq(self.i.p.plane_beats),
                step.eq(self.i.p.plane_stride),
                self.cmd.valid.eq(1),
            ]

    def _follow(
        self,
        m: Module,
        addr: Value,
        step: Value,
        taken: Value,
        begins: Value,
        timing: TimingPolicy,
    ) -> None:
        """Move `addr` to the next plane when a command is taken."""
        if not timing.split_sums:
            with m.If(taken):
                m.d.sync += addr.eq(addr + step)
            return
        # The lower half of the next plane's address, and its carry: half a sum takes a cycle.
        low, carry = Signal(_LOW_BITS, reset_less=True), Signal(reset_less=True)
        with m.If(taken):
            m.d.sync += [
                addr[:_LOW_BITS].eq(low),
                Cat(low, carry).eq(low + step[:_LOW_BITS]),
                addr[_LOW_BITS:].eq(addr[_LOW_BITS:] + step[_LOW_BITS:] + carry),
            ]
        with m.If(begins):
            m.d.sync += Cat(low, carry).eq(
                self.i.p.mem[:_LOW_BITS] + self.i.p.plane_stride[:_LOW_BITS]
            )

    def _count_beats(
        self, m: Module, runs: Fifo, run: data.View, beat: Signal, timing: TimingPolicy
    ) -> Value:
        """Return whether the beat at the input is the run's last one."""
        planes = Countdown(m, 16, name="plane_under_way", end=0)
        begins, one, only = Signal(), Signal(), Signal(reset_less=True)
        beats = Signal.like(run.plane_beats)
        plane_end = counted_down(
            m, take=begins, value=beats, step=beat, one=one, name="beats_left", timing=timing
        )
        m.d.comb += [begins.eq(beat & plane_end), beats.eq(run.plane_beats), one.eq(only)]
        with m.If(runs.o.ready):
            m.d.comb += [
                begins.eq(1),
                beats.eq(runs.o.p.plane_beats),
                one.eq(runs.o.p.plane_beats == 1),
            ]
            planes.load(runs.o.p.planes - 1, last=runs.o.p.planes == 1)
            m.d.sync += only.eq(one)
        with m.Elif(beat & plane_end):
            planes.step()
        return plane_end & planes.last

    def _write(
        self,
        m: Module,
        run: data.View,
        words: stream.Interface,
        word: Signal,
        entries: stream.Interface,
        entry: Signal,
        to_out: Signal,
    ) -> None:
        """Write words and entry pairs, counting the address in the descriptor's `base`."""
        m.d.comb += [
            words.ready.eq(~to_out | self.out.ready),
            self.out.valid.eq(words.valid & to_out),
            self.out.p.addr.eq(run.base),
            self.out.p.data.eq(words.p.data),
        ]
        m.d.sync += [
            self.act.en.eq(word & ~to_out),
            self.act.addr.eq(run.base),
            self.act.data.eq(words.p.data),
            self.table.en.eq(entry),
            self.table.addr.eq(run.base),
            self.table.data.eq(entries.p.data),
        ]
        with m.If(word | entry):
            m.d.sync += run.base.eq(run.base + 1)
