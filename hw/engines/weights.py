"""The WEIGHTS engine: memory to requantisation parameters and to the weight FIFO.

::

    descriptors -> front: one DMA command each
                     |  a short queue of descriptors
    beats from DMA -> back: count -> first the parameters, column 0 first, if there are any
                                  '-> then weight blocks: Upsizer -> words of `cols` bytes
                                                                  -> weight FIFO

The front runs ahead and the FIFO holds several blocks, so memory latency hides behind the blocks
that are at work; the back takes no beat while the words of the descriptor before go through, 3
cycles or more.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.drain import parameter_layout
from penstock.hw.lib.fifo import MAX_DISTRIBUTED, Fifo
from penstock.hw.lib.register_slice import NoSlice, RegisterSlice
from penstock.hw.lib.split_counter import counted_down
from penstock.hw.lib.stream import Upsizer, tag_beats, word_layout
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["AHEAD", "WeightsEngine"]

# Descriptors between front and back.
AHEAD = 4


class WeightsEngine(wiring.Component):
    """Loads weights and requantisation parameters.

    Parameters
    ----------
    arch : Arch
    slices : bool
        Registers between the count of the beats and what they go into.

    Members
    -------
    i : In(stream of descriptor(Op.WEIGHTS))
    done : Out(1)
        Pulse for each descriptor: its last word is in the FIFO, or its last parameter was taken.
    cmd : Out(stream of command_layout)
        To the read DMA, one command for each descriptor.
    data : In(stream of 64 bits)
        The beats of those commands.
    params : Out(stream of parameter_layout(arch.cols))
        Parameters of tile after tile, column 0 first.  While they are not taken, the weights behind
        them wait as well.
    o : Out(stream of cols * 8 bits)
        Words of weight blocks, from a FIFO of `arch.wgt_words`.
    """

    def __init__(self, *, arch: Arch, slices: bool = True) -> None:
        self.arch = arch
        self.slices = slices
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.WEIGHTS))),
                "done": Out(1),
                "cmd": Out(stream.Signature(command_layout)),
                "data": In(stream.Signature(64)),
                "params": Out(stream.Signature(parameter_layout(arch.cols))),
                "o": Out(stream.Signature(arch.cols * 8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        cols = self.arch.cols
        m = Module()
        timing = policy_of(platform)
        run_layout = data.StructLayout({"has_params": 1, "beats": 24})
        m.submodules.runs = runs = Fifo(shape=run_layout, depth=AHEAD)
        m.submodules.upsizer = upsizer = Upsizer(in_bytes=8, out_bytes=cols)
        depth = self.arch.wgt_words
        m.submodules.words = words = Fifo(
            shape=cols * 8, depth=depth, block=depth > MAX_DISTRIBUTED
        )
        self._front(m, runs)

        # Count beats at the input; the upsizer's `ready` arrives too late in the cycle.
        kind = RegisterSlice if self.slices else NoSlice
        m.submodules.tagged = tagged = kind(shape=word_layout(8))
        comes, beats = Signal(), Signal()
        last_beat = counted_down(
            m,
            take=runs.o.ready,
            value=runs.o.p.beats,
            step=comes,
            name="beats_left",
            timing=timing,
        )
        tag_beats(m, self.data, tagged.i, more=beats, last=last_beat)
        m.d.comb += [
            comes.eq(self.data.valid & self.data.ready),
        ]
        with m.If(runs.o.ready):
            m.d.sync += beats.eq(runs.o.valid)
        with m.Elif(comes & last_beat):
            m.d.sync += beats.eq(0)

        column = Signal(range(cols))
        # Whether the remaining beats are parameters or words; `busy`: words or beats remain.
        to_params, to_words, busy = Signal(), Signal(), Signal()
        # Duplicate of `to_words` that drives only the upsizer's many bits.
        words_turn = timing.duplicate(name="words_turn")
        beat, word, params_end, finished = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            # Blocks follow each other without gaps, so the upsizer sees one endless row.
            upsizer.i.payload.eq(tagged.o.payload),
            upsizer.i.valid.eq(tagged.o.valid & words_turn),
            self.params.p.data.eq(tagged.o.p.data),
            self.params.p.index.eq(column),
            self.params.valid.eq(tagged.o.valid & to_params),
            beat.eq(tagged.o.valid & tagged.o.ready),
            words.i.payload.eq(upsizer.o.p.data),
            words.i.valid.eq(upsizer.o.valid),
            upsizer.o.ready.eq(words.i.ready),
            word.eq(words.i.valid & words.i.ready),
            finished.eq((word & upsizer.o.p.last) | params_end),
            runs.o.ready.eq(~busy),
            tagged.o.ready.eq((to_params & self.params.ready) | (to_words & upsizer.i.ready)),
        ]
        connect(m, words.o, flipped(self.o))

        m.d.sync += [
            self.done.eq(finished),
            # Registered, as the handshake of the last parameter is a long path.
            params_end.eq(beat & to_params & tagged.o.p.last),
        ]
        with m.If(beat):
            with m.If(to_params):
                m.d.sync += column.eq(column + 1)
                with m.If(column == cols - 1):
                    m.d.sync += [column.eq(0), to_params.eq(0), to_words.eq(1), words_turn.eq(1)]
            with m.If(tagged.o.p.last):
                m.d.sync += [to_params.eq(0), to_words.eq(0), words_turn.eq(0)]
        with m.If(runs.o.ready):
            m.d.sync += [
                to_params.eq(runs.o.valid & runs.o.p.has_params),
                to_words.eq(runs.o.valid & ~runs.o.p.has_params),
                words_turn.eq(runs.o.valid & ~runs.o.p.has_params),
                busy.eq(runs.o.valid),
            ]
        with m.Elif(finished):
            m.d.sync += busy.eq(0)
        return m

    def _front(self, m: Module, runs: Fifo) -> None:
        """Take descriptors, hand them to the back, command the DMA."""
        command = Signal(command_layout, reset_less=True)
        m.d.comb += [
            self.i.ready.eq((~self.cmd.valid | self.cmd.ready) & runs.i.ready),
            runs.i.valid.eq(self.i.valid & self.i.ready),
            runs.i.p.has_params.eq(self.i.p.has_params),
            runs.i.p.beats.eq(self.i.p.beats),
            self.cmd.payload.eq(command),
        ]
        with m.If(runs.i.valid):
            m.d.sync += [
                command.addr.eq(self.i.p.mem),
                command.beats.eq(self.i.p.beats),
                self.cmd.valid.eq(1),
            ]
        with m.Elif(self.cmd.ready):
            m.d.sync += self.cmd.valid.eq(0)
