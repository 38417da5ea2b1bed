"""The accelerator core: everything between the CSR bus and the memory ports.

::

    m_desc --> Sequencer --> LOAD, WEIGHTS, CONV, DRAIN, POST
    m_act  --> LoadEngine ----> activation buffer --> ConvEngine --> DrainEngine --> output buffer
                    \\-----------------------------------------------------> (write) ------^  |
                     \\--> LRN table ---> PostEngine <----------------------------------------'
    m_wgt  --> WeightsEngine -> weight words, parameters              PostEngine --> m_out
    csr    --> CsrBank
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from amaranth import Cat, DomainRenamer, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.array.systolic import ArrayMaker, SystolicArray
from penstock.hw.bus.axi import axi_lite, axi_read, axi_write
from penstock.hw.bus.dma import COMMANDS, ReadDma, WriteDma
from penstock.hw.core.csr import CsrBank
from penstock.hw.core.sequencer import Sequencer
from penstock.hw.engines.conv import ConvEngine
from penstock.hw.engines.drain import DrainEngine
from penstock.hw.engines.load import LoadEngine
from penstock.hw.engines.post import PostEngine
from penstock.hw.engines.weights import WeightsEngine
from penstock.hw.lib.buffer import Buffer
from penstock.hw.lib.register_slice import RegisterSlice
from penstock.hw.lib.timing_policy import FAST, TimingPolicy
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op
from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["DMA_DEPTH", "Accel"]

# Beats each DMA buffers by default: keeps one beat a cycle coming at 100 cycles of memory latency.
DMA_DEPTH = 128


class Accel(wiring.Component):
    """The whole accelerator.

    Parameters
    ----------
    arch : Arch
    array : callable
        As in `ConvEngine`: what the systolic array is made of.
    domain : str
        Clock domain of everything but the registers, with the clock of `sync`.  It needs no reset:
        after that of `sync`, and before each run, the registers' side resets it.
    dma_depth : int
        Beats each DMA buffers.
    slices : bool
        Registers between DMAs and engines, and queues for the DMAs' commands: shorter paths and
        fewer gaps for more cells.
    act_lanes : int
        Memories side by side that the activation buffer is made of, see `Buffer`.
    timing : TimingPolicy
        What is done for a short clock period; it changes no cycle.

    Members
    -------
    csr : In(axi_lite())
        The registers of `models.spec.regs`.
    irq : Out(1)
        Level.
    busy, error : Out(1)
        Of the register STATUS, for LEDs.
    m_desc, m_wgt, m_act : Out(axi_read())
        Descriptors, weights, activations.
    m_out : Out(axi_write())
        Results.
    """

    def __init__(
        self,
        *,
        arch: Arch,
        array: ArrayMaker = SystolicArray,
        domain: str = "sync",
        dma_depth: int = DMA_DEPTH,
        slices: bool = True,
        act_lanes: int = 1,
        timing: TimingPolicy = FAST,
    ) -> None:
        self.arch = arch
        self.array = array
        self.domain = domain
        self.dma_depth = dma_depth
        self.slices = slices
        self.act_lanes = act_lanes
        self.timing = timing
        super().__init__(
            {
                "csr": In(axi_lite()),
                "irq": Out(1),
                "busy": Out(1),
                "error": Out(1),
                "m_desc": Out(axi_read()),
                "m_wgt": Out(axi_read()),
                "m_act": Out(axi_read()),
                "m_out": Out(axi_write()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        arch = self.arch
        m = Module()
        csr = CsrBank(arch=arch)
        m.submodules.csr_bank = self.timing(csr)

        def reset(block: wiring.Component) -> Any:
            # Each has a duplicate of the reset, as they are far apart.
            own = self.timing.duplicate(init=1, name="core_reset")
            m.d.sync += own.eq(csr.core_reset_next)
            return self.timing(DomainRenamer(self.domain)(ResetInserter(own)(block)))

        sequencer = Sequencer(arch=arch)
        load = LoadEngine(arch=arch, slices=self.slices)
        weights = WeightsEngine(arch=arch, slices=self.slices)
        conv = ConvEngine(arch=arch, array=self.array)
        drain = DrainEngine(arch=arch)
        post = PostEngine(arch=arch)
        sizes = {
            "depth": self.dma_depth,
            "commands": COMMANDS if self.slices else 0,
            "count_bits": arch.count_bits,
        }
        dma_desc, dma_wgt, dma_act = (ReadDma(**sizes) for _ in range(3))
        dma_out = WriteDma(**sizes)
        act = Buffer(depth=arch.act_words, width=arch.rows * 8, lanes=self.act_lanes)
        out = Buffer(depth=arch.out_words, width=arch.rows * 8, granularity=arch.drain_lanes * 8)
        blocks: dict[str, Any] = {
            "sequencer": sequencer,
            "load": load,
            "weights": weights,
            "conv": conv,
            "drain": drain,
            "post": post,
            "dma_desc": dma_desc,
            "dma_wgt": dma_wgt,
            "dma_act": dma_act,
            "dma_out": dma_out,
            "act": act,
            "out": out,
        }
        for name, block in blocks.items():
            m.submodules[name] = reset(block)

        # Descriptors, and what the engines tell of them.
        connect(m, flipped(self.csr), csr.bus)
        connect(m, csr.program, sequencer.program)
        engines: dict[Op, Any] = {
            Op.LOAD: load,
            Op.WEIGHTS: weights,
            Op.CONV: conv,
            Op.DRAIN: drain,
            Op.POST: post,
        }
        for op, engine in engines.items():
            connect(m, sequencer.engines[op], engine.i)
            m.d.comb += sequencer.done[op].eq(engine.done)

        # Memory: commands, beats, buses.
        connect(m, sequencer.cmd, dma_desc.cmd)
        connect(m, weights.cmd, dma_wgt.cmd)
        connect(m, load.cmd, dma_act.cmd)
        connect(m, post.cmd, dma_out.cmd)
        m.d.comb += post.written.eq(dma_out.done)
        self._connect_beats(m, reset, "desc", dma_desc.o, sequencer.data)
        self._connect_beats(m, reset, "wgt", dma_wgt.o, weights.data)
        self._connect_beats(m, reset, "act", dma_act.o, load.data)
        self._connect_beats(m, reset, "out", post.o, dma_out.i)
        connect(m, dma_desc.bus, flipped(self.m_desc))
        connect(m, dma_wgt.bus, flipped(self.m_wgt))
        connect(m, dma_act.bus, flipped(self.m_act))
        connect(m, dma_out.bus, flipped(self.m_out))

        # Activations, weights, partial sums, results.
        connect(m, load.act, act.w)
        connect(m, conv.act, act.r)
        connect(m, weights.o, conv.i_wgt)
        connect(m, drain.psums, conv.psums)
        m.d.comb += [drain.filled.eq(conv.filled), conv.freed.eq(drain.freed)]
        connect(m, weights.params, drain.i_params)
        self._share_output_buffer(m, load=load, drain=drain, out=out)
        connect(m, load.table, post.table)
        connect(m, post.out, out.r)

        # Status, counters and errors.
        m.d.comb += [self.irq.eq(csr.irq), self.busy.eq(csr.busy), self.error.eq(csr.error)]
        connect(m, conv.activity, csr.activity)
        m.d.comb += [
            csr.wait_input.eq(sequencer.conv_waiting),
            csr.act_waiting.eq(dma_act.waiting),
            csr.wgt_waiting.eq(dma_wgt.waiting),
            csr.mark.eq(post.mark),
        ]
        for name, control in zip(ERROR_SOURCES, csr.dmas):
            connect(m, control, blocks[f"dma_{name}"].control)
        working = (drain.out.en, conv.activity.busy, post.out.en)
        self._watch_buses(m, csr, working)
        return m

    def _watch_buses(self, m: Module, csr: CsrBank, working: Iterable[Signal]) -> None:
        """Count beats; whether anything moves there or is `working` shows that a run is alive."""
        reads = [port.rvalid & port.rready for port in (self.m_desc, self.m_wgt, self.m_act)]
        write = self.m_out.wvalid & self.m_out.wready
        acknowledge = self.m_out.bvalid & self.m_out.bready
        progress = Signal()
        m.d.sync += progress.eq(Cat(*reads, write, acknowledge, *working).any())
        m.d.comb += [
            csr.progress.eq(progress),
            csr.read_beat.eq(Cat(*reads)),
            csr.write_beat.eq(write),
        ]

    def _connect_beats(
        self,
        m: Module,
        reset: Callable[..., Any],
        name: str,
        o: stream.Interface,
        i: stream.Interface,
    ) -> None:
        """Connect a stream of beats; registers keep the FIFOs' and the engines' paths apart."""
        if self.slices:
            m.submodules[f"beats_{name}"] = reset(beats := RegisterSlice(shape=64))
            connect(m, o, beats.i)
            o = beats.o
        connect(m, o, i)

    def _share_output_buffer(
        self, m: Module, *, load: LoadEngine, drain: DrainEngine, out: Buffer
    ) -> None:
        """Let DRAIN and LOAD write the output buffer."""
        draining = Signal()
        m.d.comb += [
            # A drain cannot stall, so a load gives way to it.
            draining.eq(drain.out.en.any()),
            load.out.ready.eq(~draining),
        ]
        # Registered: the memory lies all over the chip.  Both `done` come no sooner than this.
        m.d[self.domain] += [
            out.w.en.eq(Mux(draining, drain.out.en, load.out.valid.replicate(len(out.w.en)))),
            out.w.addr.eq(Mux(draining, drain.out.addr, load.out.payload.addr)),
            out.w.data.eq(Mux(draining, drain.out.data, load.out.payload.data)),
        ]
