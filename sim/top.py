"""The simulated core's top: the core with a registered reset."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from hw.accel import Accel
from models.arch import Arch

__all__ = ["SimulationTop"]


class SimulationTop(wiring.Component):
    """`Accel` with the same ports, reset one cycle later.

    Verilator evaluates what depends on an input port in both halves of every cycle.  A reset that
    comes from a port concerns every register; from a register it costs nothing.

    Parameters
    ----------
    arch : Arch
    """

    def __init__(self, *, arch: Arch) -> None:
        self.core = Accel(arch=arch)
        super().__init__(self.core.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.core = core = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal("sync"))
        m.d.comb += [core.clk.eq(ClockSignal("sync")), core.rst.eq(reset)]
        m.submodules.core = DomainRenamer("core")(self.core)
        connect(m, flipped(self.csr), self.core.csr)
        for port in ("m_desc", "m_wgt", "m_act", "m_out"):
            connect(m, getattr(self.core, port), flipped(getattr(self, port)))
        m.d.comb += self.irq.eq(self.core.irq)
        return m
