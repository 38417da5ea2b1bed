"""The accelerator with its own memory and a host on a serial port; shared by boards.

::

    rx, tx <-> HostLink --csr----------------> Accel --> LEDs
                  |                              |
                  '--m_read, m_write--.   .--m_desc, m_wgt, m_act, m_out
                                      MemoryPort
                                          |
                                      controller
"""

from __future__ import annotations

from amaranth import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from penstock.hw.array.systolic import ArrayMaker, SystolicArray
from penstock.hw.core.accel import DMA_DEPTH, Accel
from penstock.hw.lib.timing_policy import FAST, TimingPolicy
from penstock.hw.link.serial_link import HostLink
from penstock.hw.memory.block_memory import BlockMemory
from penstock.hw.memory.memory_port import MemoryPort
from penstock.hw.memory.sdram import SdramController
from penstock.models.spec.arch import Arch

__all__ = ["LEDS", "LinkedAccel", "check_baud"]

# What the LEDs show, in the order of `LinkedAccel.led`.
LEDS = ("alive", "memory", "host", "receiving", "sending", "busy", "error", "damaged")

# A pulse on the link lights its LED for 2**this cycles (12 ms at 90 MHz).
_GLOW_BITS = 20


def check_baud(baud: int, clock_hz: int) -> None:
    """Refuse a rate that the receiver cannot sample with this clock.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(baud, int) or not 0 < baud <= clock_hz // 4:
        raise ValueError(f"baud must be from 1 to {clock_hz // 4}, not {baud!r}")


class LinkedAccel(wiring.Component):
    """Accelerator, memory and link.

    Parameters
    ----------
    arch : Arch
    controller : SdramController or BlockMemory
        Becomes a submodule.
    memory_bytes : int
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.
    array : callable
        As in `Accel`.
    dma_depth : int
        As in `Accel`.
    slices : bool
        As in `Accel` and `MemoryPort`.
    act_lanes : int
    timing : TimingPolicy
        As in `Accel`; for all that is here.

    Members
    -------
    rx : In(1), tx : Out(1)
        Serial port.
    button : In(1)
        Reset while it is pressed; not synchronised.
    led : Out(8)
        See `LEDS`.
    """

    def __init__(
        self,
        *,
        arch: Arch,
        controller: SdramController | BlockMemory,
        memory_bytes: int,
        clock_hz: int,
        baud: int,
        array: ArrayMaker = SystolicArray,
        dma_depth: int = DMA_DEPTH,
        slices: bool = True,
        act_lanes: int = 1,
        timing: TimingPolicy = FAST,
    ) -> None:
        check_baud(baud, clock_hz)
        self.arch = arch
        self.controller = controller
        self.memory_bytes = memory_bytes
        self.clock_hz = clock_hz
        self.array = array
        self.divisor = round(clock_hz / baud)
        self.dma_depth = dma_depth
        self.slices = slices
        self.act_lanes = act_lanes
        self.timing = timing
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "button": In(1), "led": Out(len(LEDS))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accel = Accel(
            arch=self.arch,
            array=self.array,
            domain="engines",
            dma_depth=self.dma_depth,
            slices=self.slices,
            act_lanes=self.act_lanes,
            timing=self.timing,
        )
        link = HostLink(
            divisor=self.divisor, memory_bytes=self.memory_bytes, clock_hz=self.clock_hz
        )
        memory = MemoryPort(controller=self.controller, readers=4, writers=2, slices=self.slices)
        # The button bounces, and may be pressed at any time.
        pressed = [Signal(name=f"pressed_{k}") for k in range(3)]
        m.d.sync += Cat(pressed).eq(Cat(self.button, pressed))
        # Each of these domains is reset by its own register, without gates: a gate, or one register
        # for all domains, would make the reset net too slow.  The accelerator resets its engines
        # itself.
        m.domains += [engines := ClockDomain("engines", local=True, reset_less=True)]
        m.d.comb += engines.clk.eq(ClockSignal())
        for name, block in (("accel", accel), ("link", link), ("memory", memory)):
            m.domains += [domain := ClockDomain(f"{name}_work", local=True)]
            reset = self.timing.duplicate(init=1, name=f"{name}_reset")
            m.d.sync += reset.eq(pressed[-1])
            m.d.comb += [domain.clk.eq(ClockSignal()), domain.rst.eq(reset)]
            m.submodules[name] = self.timing(DomainRenamer(domain.name)(block))
        connect(m, link.csr, accel.csr)
        for index, reader in enumerate((accel.m_desc, accel.m_wgt, accel.m_act, link.m_read)):
            connect(m, reader, memory.r[index])
        for index, writer in enumerate((accel.m_out, link.m_write)):
            connect(m, writer, memory.w[index])
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]

        alive = Signal((self.clock_hz // 2).bit_length())
        m.d.sync += alive.eq(alive + 1)
        states = {
            "alive": alive[-1],
            "memory": self.controller.ready,
            "host": ~link.fresh,
            "receiving": _glow(m, link.receiving, "receiving"),
            "sending": _glow(m, link.sending, "sending"),
            "busy": accel.busy,
            "error": accel.error,
            "damaged": _glow(m, link.damaged, "damaged"),
        }
        m.d.sync += self.led.eq(Cat(states[name] for name in LEDS))
        return m


def _glow(m: Module, pulse: Signal, name: str) -> Signal:
    """Return a signal that stays high long enough to be visible on an LED."""
    left = Signal(_GLOW_BITS, name=f"glow_{name}")
    m.d.sync += left.eq(Mux(pulse, ~0, Mux(left.any(), left - 1, 0)))
    return left.any()
