"""The PYNQ-Z1 and Z2: their top level with the processor system, and the boards as data.

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

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

from penstock.hw.array.dsp48 import Dsp48e1
from penstock.hw.boards.board import Board, Processor
from penstock.hw.boards.pynq_z2 import PynqCore
from penstock.hw.floorplan.zynq import zynq_7020
from penstock.models.spec.arch import Arch
from penstock.models.zynq.hwh import CSR_BASE

__all__ = ["PORTS", "PYNQ_Z1", "PYNQ_Z2", "PynqTop"]

# The PS7 primitive's AxSIZE has no third bit: no beat has more than 8 bytes.
_SIZE_BITS = 2
# The core's ports, and the prefix of the primitive's pins for each.
PORTS = {"gp0": "MAXIGP0", **{f"hp{n}": f"SAXIHP{n}" for n in range(4)}}


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
        # The same clock without a reset: a second reset source would be a LUT before all registers.
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
        # The unused direction of this port must not request anything.
        reads = "araddr" in port.signature.members
        for valid in ("AWVALID", "WVALID") if reads else ("ARVALID",):
            pins[f"i_{prefix}{valid}"] = Const(0)
        # 1 would let other pins set the limit of outstanding bursts.
        pins[f"i_{prefix}RDISSUECAP1EN"] = Const(0)
        pins[f"i_{prefix}WRISSUECAP1EN"] = Const(0)
    return pins


def _pynq(name: str, title: str) -> Board:
    """One of the boards with this device: the design uses none of its pins."""
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
        floorplan=zynq_7020,
        load="penstock selftest --device pynq --overlay penstock.bit",
    )


PYNQ_Z1 = _pynq("pynq-z1", "PYNQ-Z1")
PYNQ_Z2 = _pynq("pynq-z2", "PYNQ-Z2")
