"""A small stand-in for the core, with the core's ports: it copies memory.

A run reads DESC_COUNT beats from BASE + DESC_ADDR through each read port, and writes those of port
act to addresses `DISTANCE` bytes higher.
"""

from __future__ import annotations

from amaranth import Const, Module, ResetInserter, Signal
from amaranth.lib.wiring import connect, flipped

from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.hw.core.csr import CsrBank
from tests.support.core_ports import CorePorts

__all__ = ["DISTANCE", "Copier"]

DISTANCE = 1 << 20


class Copier(CorePorts):
    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bank = bank = CsrBank(arch=self.arch)
        reset = ResetInserter(bank.core_reset)
        reads = [ReadDma(depth=64) for _ in range(3)]
        out = WriteDma(depth=64)
        connect(m, flipped(self.csr), bank.bus)
        m.d.comb += self.irq.eq(bank.irq)

        ended = Signal(4)
        kept = Signal(4)
        source = Signal(32)
        m.d.comb += source.eq(bank.dmas[0].base + bank.program.desc_addr)
        commands = []
        for index, (dma, port) in enumerate(zip(reads, (self.m_desc, self.m_wgt, self.m_act))):
            m.submodules[f"read_{index}"] = reset(dma)
            connect(m, dma.bus, flipped(port))
            left = Signal(24, name=f"left_{index}")
            with m.If(bank.program.start):
                m.d.sync += left.eq(bank.program.desc_count)
            with m.If(dma.o.valid & dma.o.ready):
                m.d.sync += left.eq(left - 1)
            m.d.comb += [
                dma.cmd.p.addr.eq(source),
                ended[index].eq(left == 0),
                bank.read_beat[index].eq(port.rvalid & port.rready),
            ]
            commands.append(dma.cmd)
        m.submodules.write = reset(out)
        connect(m, out.bus, flipped(self.m_out))
        connect(m, reads[2].o, out.i)
        m.d.comb += [
            reads[0].o.ready.eq(1),
            reads[1].o.ready.eq(1),
            out.cmd.p.addr.eq(source + Const(DISTANCE, 32)),
            ended[3].eq(kept[3]),
        ]
        with m.If(bank.program.start):
            m.d.sync += kept[3].eq(0)
        with m.If(out.done):
            m.d.sync += kept[3].eq(1)
        commands.append(out.cmd)
        for index, command in enumerate(commands):
            pending = Signal(name=f"pending_{index}")
            m.d.comb += [command.p.beats.eq(bank.program.desc_count), command.valid.eq(pending)]
            with m.If(bank.program.start):
                m.d.sync += pending.eq(1)
            with m.If((pending & command.ready) | bank.core_reset):
                m.d.sync += pending.eq(0)

        moved = (
            (self.m_desc.rvalid & self.m_desc.rready)
            | (self.m_wgt.rvalid & self.m_wgt.rready)
            | (self.m_act.rvalid & self.m_act.rready)
            | (self.m_out.wvalid & self.m_out.wready)
        )
        for control, dma in zip(bank.dmas, (*reads, out)):
            m.d.comb += [
                # Commands have the whole address.
                dma.control.halt.eq(control.halt),
                *(
                    getattr(control, name).eq(getattr(dma.control, name))
                    for name in ("idle", "expected", "received", "error")
                ),
            ]
        m.d.comb += [
            bank.program.complete.eq(ended.all()),
            bank.mark.eq(out.done),
            bank.progress.eq(moved),
            bank.write_beat.eq(self.m_out.wvalid & self.m_out.wready),
        ]
        return m
