"""The accelerator on a PYNQ-Z1 or Z2: behind the processor system's ports, and as the whole chip.

::

    PynqTop
      PS7 --- MAXIGP0  -->  gp0  Axi3ToLite --> csr  |
          <-- SAXIHP0  ---  hp0  descriptors         |  PynqCore
          <-- SAXIHP1  ---  hp1  weights             |  = Accel with a PackedArray, and bridges
          <-- SAXIHP2  ---  hp2  activations         |
          <-- SAXIHP3  ---  hp3  results             |
          <-- IRQF2P0  ---  irq                      |
          --- FCLKCLK0 --> BUFG --> clock of all of it
          --- FCLKRESETN0 --> two registers --> reset of the registers' side
"""

from __future__ import annotations

from functools import partial

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.array.dsp48 import Dsp48e1, MultiplyAdd
from penstock.hw.array.packed import PackedArray
from penstock.hw.boards.board import Board, Processor
from penstock.hw.bus.axi3 import (
    Axi3ReadMaster,
    Axi3ToLite,
    Axi3WriteMaster,
    axi3,
    axi3_read,
    axi3_write,
)
from penstock.hw.core.accel import Accel
from penstock.hw.floorplan.zynq import zynq_7020
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import CSR_BYTES
from penstock.models.zynq.hwh import CSR_BASE

__all__ = ["MEMBERS", "PORTS", "PYNQ_Z1", "PYNQ_Z2", "PynqCore", "PynqTop"]

# The PS7 primitive's AxSIZE has no third bit: no beat has more than 8 bytes.
_SIZE_BITS = 2
# The core's ports, and what the pins of the primitive's begin with.
PORTS = {"gp0": "MAXIGP0", **{f"hp{n}": f"SAXIHP{n}" for n in range(4)}}
MEMBERS = {
    "gp0": In(axi3()),
    "hp0": Out(axi3_read()),
    "hp1": Out(axi3_read()),
    "hp2": Out(axi3_read()),
    "hp3": Out(axi3_write()),
    "irq": Out(1),
}


class PynqCore(wiring.Component):
    """The accelerator with AXI3 ports, to be put beside the processor system.

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


class PynqTop(wiring.Component):
    """The whole chip: `PynqCore` and the PS7 primitive.  It has no ports.

    Parameters
    ----------
    arch : Arch
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = PynqCore(arch=self.arch, mac=Dsp48e1, domain="engines")
        m.domains.sync = sync = ClockDomain("sync")
        # The same clock without a reset: one of two sources would be a gate before all registers.
        m.domains.engines = engines = ClockDomain("engines", reset_less=True)
        engines.clk = sync.clk
        clocks, resets_n = Signal(4), Signal(4)
        m.submodules.clock = Instance("BUFG", i_I=clocks[0], o_O=ClockSignal())
        m.submodules.reset = FFSynchronizer(~resets_n[0], ResetSignal(), init=1)
        interrupts = Signal(20)  # 16 of the shared ones, then the cores' own
        m.d.comb += interrupts.eq(core.irq)
        pins: dict[str, Value] = {
            "o_FCLKCLK": clocks,
            "o_FCLKRESETN": resets_n,
            "i_IRQF2P": interrupts,
            "i_FPGAIDLEN": Const(1),  # active low: the processor may not stop this clock as idle
        }
        for name, prefix in PORTS.items():
            pins[f"i_{prefix}ACLK"] = ClockSignal()
            pins.update(_port(m, prefix, getattr(core, name)))
        m.submodules.ps7 = Instance("PS7", **pins)
        return m


def _port(m: Module, prefix: str, port: wiring.PureInterface) -> dict[str, Value]:
    """Pins of the PS7 primitive for one of the core's ports, by the instance's argument."""
    pins: dict[str, Value] = {}
    for name, member in port.signature.members.items():
        ours = getattr(port, name)
        pin = f"{prefix}{name.upper()}"
        width = _SIZE_BITS if name in ("arsize", "awsize") else len(ours)
        if member.flow is Out:
            pins[f"i_{pin}"] = ours[:width]
        else:
            wire = Signal(width, name=pin.lower())
            m.d.comb += ours.eq(wire)
            pins[f"o_{pin}"] = wire
    if prefix.startswith("SAXIHP"):
        # The direction this port does not use must not ask for anything.
        reads = "araddr" in port.signature.members
        for valid in ("AWVALID", "WVALID") if reads else ("ARVALID",):
            pins[f"i_{prefix}{valid}"] = Const(0)
        # 1 would hand the limit of bursts under way to other pins.
        pins[f"i_{prefix}RDISSUECAP1EN"] = Const(0)
        pins[f"i_{prefix}WRISSUECAP1EN"] = Const(0)
    return pins


def _pynq(name: str, title: str) -> Board:
    """One of the boards that carry the same device: the design uses none of its pins."""
    return Board(
        name=name,
        title=f"{title} (Zynq XC7Z020)",
        part="xc7z020clg400-1",
        toolchain="openxc7",
        options={"family": "zynq7", "device": "xc7z020"},
        top=PynqTop,
        arch="pynq-z2",
        target_mhz=130.0,
        host=Processor(registers=CSR_BASE),
        resources={"LUT": 53200, "FF": 106400, "DSP": 220, "RAMB36": 140},
        floorplan=zynq_7020,
        load="penstock selftest --device pynq --overlay penstock.bit",
    )


PYNQ_Z1 = _pynq("pynq-z1", "PYNQ-Z1")
PYNQ_Z2 = _pynq("pynq-z2", "PYNQ-Z2")
