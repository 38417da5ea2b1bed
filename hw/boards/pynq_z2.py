"""The PYNQ-Z1 and Z2: the accelerator with AXI3 ports for the processor system of a Zynq.

This is the design with plain ports, as simulated; the PS7 primitive and the board's record are in
`hw.boards.pynq_z2_top`.
"""

from __future__ import annotations

from functools import partial

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.array.dsp48 import MultiplyAdd
from penstock.hw.array.packed import PackedArray
from penstock.hw.bus.axi3 import (
    Axi3ReadMaster,
    Axi3ToLite,
    Axi3WriteMaster,
    axi3,
    axi3_read,
    axi3_write,
)
from penstock.hw.core.accel import Accel
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import CSR_BYTES
from penstock.models.zynq.hwh import CSR_BASE

__all__ = ["MEMBERS", "PynqCore"]

MEMBERS = {
    "gp0": In(axi3()),
    "hp0": Out(axi3_read()),
    "hp1": Out(axi3_read()),
    "hp2": Out(axi3_read()),
    "hp3": Out(axi3_write()),
    "irq": Out(1),
}


class PynqCore(wiring.Component):
    """The accelerator with AXI3 ports for the processor system.

    Parameters
    ----------
    arch : Arch
    mac : type
        What the array's multipliers are: the DSP primitive, or its behaviour for simulators that
        do not know it.
    domain : str
        As in `Accel`.

    Members
    -------
    gp0 : In(axi3())
        The registers, `CSR_BYTES` of them from `CSR_BASE` on; DECERR elsewhere.
    hp0, hp1, hp2 : Out(axi3_read())
        Descriptors, weights, activations.
    hp3 : Out(axi3_write())
        Results.
    irq : Out(1)
        Level.
    """

    def __init__(
        self, *, arch: Arch, mac: type[MultiplyAdd] = MultiplyAdd, domain: str = "sync"
    ) -> None:
        self.arch = arch
        self.mac = mac
        self.domain = domain
        super().__init__(MEMBERS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accel = accel = Accel(
            arch=self.arch, array=partial(PackedArray, mac=self.mac), domain=self.domain
        )
        m.submodules.gp0 = registers = Axi3ToLite(
            base=CSR_BASE, addr_width=(CSR_BYTES - 1).bit_length()
        )
        connect(m, flipped(self.gp0), registers.i)
        connect(m, registers.o, accel.csr)
        reads = {"hp0": accel.m_desc, "hp1": accel.m_wgt, "hp2": accel.m_act}
        for name, master in reads.items():
            m.submodules[name] = read = Axi3ReadMaster()
            connect(m, master, read.i)
            connect(m, read.o, flipped(getattr(self, name)))
        m.submodules.hp3 = write = Axi3WriteMaster()
        connect(m, accel.m_out, write.i)
        connect(m, write.o, flipped(self.hp3))
        m.d.comb += self.irq.eq(accel.irq)
        return m
