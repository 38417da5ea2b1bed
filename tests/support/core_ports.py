"""What stands in for the core in tests of the simulation around it."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.bus.axi import axi_lite, axi_read, axi_write
from penstock.models.spec.arch import Arch

__all__ = ["CorePorts"]


class CorePorts(wiring.Component):
    """A component with the ports of `hw.core.accel` that a simulation library uses."""

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__(
            {
                "csr": In(axi_lite()),
                "irq": Out(1),
                "m_desc": Out(axi_read()),
                "m_wgt": Out(axi_read()),
                "m_act": Out(axi_read()),
                "m_out": Out(axi_write()),
            }
        )
