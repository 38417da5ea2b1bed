"""A top with a Zynq's ports, driven from registers, to violate AXI3's rules."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect

from penstock.hw.boards.pynq_z2 import MEMBERS
from penstock.hw.bus.axi3 import Axi3ToLite
from penstock.hw.core.csr import CsrBank
from penstock.models.spec.arch import Arch
from penstock.models.zynq.hwh import CSR_BASE

__all__ = ["Axi3Breaker"]


class Axi3Breaker(wiring.Component):
    """Drives the ports from registers.

    ============  ========================================================================
    BASE          address of the bursts
    DESC_ADDR     attributes: id (bits 6 and up), wid (12), lock (18), cache (20)
    DESC_COUNT    bit 0: a read, 1: a write's address, 2: a write's data, for one cycle after
                  a start, or for ever with bit 4
    WATCHDOG      of answers on gp0: bit 0: another bid, 1: another rid, 2: no rlast,
                  3: bvalid at any time, 4: rvalid at any time, 5: rdata that changes
    ============  ========================================================================
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__(MEMBERS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bank = bank = CsrBank(arch=self.arch)
        m.submodules.bridge = bridge = Axi3ToLite(base=CSR_BASE)
        connect(m, bridge.o, bank.bus)
        wrong = bank.program.desc_count[8:14]
        count = Signal(32)
        m.d.sync += count.eq(count + 1)
        for name, member in bridge.i.signature.members.items():
            ours, theirs = getattr(self.gp0, name), getattr(bridge.i, name)
            m.d.comb += theirs.eq(ours) if member.flow is In else ours.eq(theirs)
        m.d.comb += [
            self.gp0.bid.eq(bridge.i.bid ^ wrong[0]),
            self.gp0.rid.eq(bridge.i.rid ^ wrong[1]),
            self.gp0.rlast.eq(bridge.i.rlast & ~wrong[2]),
            self.gp0.bvalid.eq(bridge.i.bvalid | wrong[3]),
            self.gp0.rvalid.eq(bridge.i.rvalid | wrong[4]),
        ]
        with m.If(wrong[5]):
            m.d.comb += self.gp0.rdata.eq(count)
        shape = bank.program.desc_addr
        pending, valid = Signal(3), Signal(3)
        taken = Cat(self.hp2.arready, self.hp3.awready, self.hp3.wready)
        m.d.comb += valid.eq(pending | Mux(bank.program.desc_count[4], bank.program.desc_count, 0))
        m.d.sync += pending.eq(
            pending & ~taken | Mux(bank.program.start, bank.program.desc_count, 0)
        )
        m.d.comb += [bank.program.complete.eq(1), *(dma.idle.eq(1) for dma in bank.dmas)]
        for port, prefix, bit in ((self.hp2, "ar", 0), (self.hp3, "aw", 1)):
            m.d.comb += [
                getattr(port, prefix + name).eq(value)
                for name, value in (
                    ("id", shape[6:12]),
                    ("addr", bank.dmas[0].base),
                    ("size", 3),
                    ("burst", 1),
                    ("lock", shape[18:20]),
                    ("cache", shape[20:24]),
                    ("valid", valid[bit]),
                )
            ]
        m.d.comb += [
            self.hp2.rready.eq(1),
            self.hp3.wid.eq(shape[12:18]),
            self.hp3.wdata.eq(0x0123456789ABCDEF),
            self.hp3.wstrb.eq(0xFF),
            self.hp3.wlast.eq(1),
            self.hp3.wvalid.eq(valid[2]),
            self.hp3.bready.eq(1),
        ]
        return m
