"""A top with the core's ports; registers drive its memory ports, to violate AXI's rules."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib.wiring import connect, flipped

from penstock.hw.core.csr import CsrBank
from tests.support.core_ports import CorePorts

__all__ = ["RuleBreaker"]


class RuleBreaker(CorePorts):
    """BASE is the address and the data, DESC_ADDR the shape of the burst, DESC_COUNT the valids.

    The valids are 1 for one cycle after a start, or for ever if bit 4 is set.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bank = bank = CsrBank(arch=self.arch)
        connect(m, flipped(self.csr), bank.bus)
        shape = bank.program.desc_addr
        valid = Signal(4)
        with m.If(bank.program.start | bank.program.desc_count[4]):
            m.d.comb += valid.eq(bank.program.desc_count)
        m.d.comb += [
            bank.program.complete.eq(1),
            *(dma.idle.eq(1) for dma in bank.dmas),
            self.m_act.araddr.eq(bank.dmas[0].base),
            self.m_act.arlen.eq(shape[0:8]),
            self.m_act.arsize.eq(shape[8:11]),
            self.m_act.arburst.eq(shape[12:14]),
            self.m_act.arvalid.eq(valid[0]),
            self.m_act.rready.eq(1),
            self.m_out.awaddr.eq(bank.dmas[0].base),
            self.m_out.awlen.eq(shape[0:8]),
            self.m_out.awsize.eq(shape[8:11]),
            self.m_out.awburst.eq(shape[12:14]),
            self.m_out.awvalid.eq(valid[1]),
            self.m_out.wdata.eq(bank.dmas[0].base),
            self.m_out.wstrb.eq(0xFF),
            self.m_out.wlast.eq(valid[3]),
            self.m_out.wvalid.eq(valid[2]),
            self.m_out.bready.eq(1),
        ]
        return m
