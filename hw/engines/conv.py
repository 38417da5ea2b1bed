"""The CONV engine: activation buffer to partial sums, through the array.

::

    descriptors -> AddressGenerator -> activation buffer -> padding -> SystolicArray -> PartialSums
                         weight words -> WeightLoader ---------------------^
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.array.loader import WeightLoader
from penstock.hw.array.psum import PartialSums, accumulate_layout, psum_port
from penstock.hw.array.systolic import ArrayMaker, SystolicArray
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.im2col import AddressGenerator
from penstock.hw.lib.buffer import READ_LATENCY
from penstock.hw.lib.delay import delayed, staged
from penstock.hw.lib.memory_ports import read_port
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["ISSUE_TO_ARRAY", "ConvEngine", "array_activity"]

# A padded word is chosen in the cycle after the buffer's data.
ISSUE_TO_ARRAY = READ_LATENCY + 1


def array_activity() -> wiring.Signature:
    """Signature of what the engine does this cycle; none of them: it has no descriptor.

    busy : Out(1)
        A word enters the array.
    wait_weights, wait_bank : Out(1)
        It waits for a weight block, for a free bank of partial sums.
    """
    return wiring.Signature({"busy": Out(1), "wait_weights": Out(1), "wait_bank": Out(1)})


class ConvEngine(wiring.Component):
    """Convolves tiles.

    Parameters
    ----------
    arch : Arch
    array : callable
        Makes the array of `rows` and `cols`: `SystolicArray`, or one of the same interface.

    Members
    -------
    i : In(stream of descriptor(Op.CONV))
    done : Out(1)
        Pulse for each descriptor: it reads no activation any more.
    i_wgt : In(stream of cols * 8 bits)
        Words of weight blocks.
    act : In(read_port())
        The activation buffer.
    filled : Out(1)
        Pulse: a partial-sum bank is complete.  Banks are filled alternately, bank 0 first.
    freed : In(1)
        Pulse: the older complete bank is drained.
    psums : Out(psum_port())
        The partial sums, see `PartialSums`.
    activity : Out(array_activity())
    """

    def __init__(self, *, arch: Arch, array: ArrayMaker = SystolicArray) -> None:
        self.arch = arch
        self.array = array
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.CONV))),
                "done": Out(1),
                "i_wgt": In(stream.Signature(arch.cols * 8)),
                "act": In(read_port(addr=range(arch.act_words), data=arch.rows * 8)),
                "filled": Out(1),
                "freed": In(1),
                "psums": Out(psum_port(cols=arch.cols, words=arch.psum_words)),
                "activity": Out(array_activity()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        arch = self.arch
        m = Module()
        m.submodules.address = address = AddressGenerator(psum_words=arch.psum_words)
        m.submodules.array = array = self.array(rows=arch.rows, cols=arch.cols)
        m.submodules.psums = psums = PartialSums(
            rows=arch.rows, cols=arch.cols, words=arch.psum_words, group=array.group
        )
        # `taken` is registered because of its fan-out; the loader sees it one cycle later.  The
        # swap comes to the array 1 + ISSUE_TO_ARRAY cycles after that, a shift 2 cycles after the
        # hold.
        taken = Signal()
        m.d.sync += taken.eq(address.take_weights)
        m.submodules.loader = loader = WeightLoader(
            rows=arch.rows, cols=arch.cols, hold=ISSUE_TO_ARRAY + array.swap_hold - 1
        )
        connect(m, flipped(self.i), address.i)
        connect(m, flipped(self.i_wgt), loader.i)
        connect(m, flipped(self.psums), psums.r)
        m.d.comb += [
            self.done.eq(address.done),
            self.activity.busy.eq(address.busy),
            self.activity.wait_weights.eq(address.wait_weights),
            self.activity.wait_bank.eq(address.wait_bank),
            address.weights.eq(loader.ready),
            loader.take.eq(taken),
            array.shift.eq(loader.shift),
        ]
        for c in range(arch.cols):
            m.d.comb += [
                array.wgt[c].eq(loader.wgt[c]),
                psums.sums[c].eq(array.sums[c]),
            ]

        # Banks are used in turn; a tile begins when one of the two is free.
        used = Signal(range(3))
        bank = Signal(init=1)
        m.d.comb += address.bank.eq(used != 2)
        m.d.sync += used.eq(used + address.take_bank - self.freed)
        with m.If(address.take_bank):
            m.d.sync += bank.eq(~bank)

        m.d.comb += [
            self.act.en.eq(address.o.valid & ~address.o.outside),
            self.act.addr.eq(address.o.addr),
        ]
        # `bank` belongs to the word being issued; address.o is a cycle later.
        issued_bank = Signal()
        m.d.sync += issued_bank.eq(bank)
        word = address.o
        word_bank = issued_bank
        for i in range(READ_LATENCY):
            word = staged(m, word, name=f"word_{i}")
            word_bank = delayed(m, word_bank, 1)
        for r in range(arch.rows):
            act = Signal(8, name=f"act_{r}", reset_less=True)
            m.d.sync += act.eq(Mux(word.outside, word.pad, self.act.data.word_select(r, 8)))
            m.d.comb += array.act[r].eq(act)
        m.d.sync += array.swap.eq(word.swap & word.valid)

        arrives = Signal(accumulate_layout(arch.psum_words))
        m.d.comb += [
            arrives.valid.eq(word.valid),
            arrives.first.eq(word.first),
            arrives.last.eq(word.last),
            arrives.bank.eq(word_bank),
            arrives.addr.eq(word.psum),
        ]
        control = staged(m, arrives, name="control")
        # `control` is level with the word at the array's edge.
        for i in range(array.latency - PartialSums.SUM_DELAY):
            control = staged(m, control, name=f"control_{i}")
        m.d.comb += [
            psums.i.eq(control),
            self.filled.eq(psums.filled),
        ]
        return m
