"""The ULX3S: the accelerator with the board's SDRAM as its memory and a host on its USB port.

::

    usb <-> HostLink --csr----------------> Accel --> lamps
               |                              |
               '--m_read, m_write--.   .--m_desc, m_wgt, m_act, m_out
                                   MemoryPort
                                       |
                                SdramController <-> SDRAM
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.accel import Accel
from hw.link import HostLink
from hw.memory_port import MemoryPort
from hw.sdram import SdramController
from hw.sdram_chip import ULX3S_SDRAM, SdramChip, sdram_pins
from models.arch import Arch

__all__ = ["BAUD", "CLOCK_HZ", "LAMPS", "Ulx3s"]

CLOCK_HZ = 90_000_000

# The fastest that the board's FT231X does; the clock is a multiple of it.
BAUD = 3_000_000

# What the lamps show, LED 0 first.
LAMPS = ("alive", "memory", "host", "receiving", "sending", "busy", "error", "damaged")

# A pulse on the link lights its lamp for 2**this cycles (12 ms).
_GLOW_BITS = 20


class Ulx3s(wiring.Component):
    """Everything on the FPGA, with plain pins: what simulation uses.

    The clock is that of the `sync` domain; `hw.ulx3s_top` makes it and drives the real pins.

    Parameters
    ----------
    arch : Arch
    chip : SdramChip
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.  A simulation may ask for more than the board's USB chip does.
    registered : bool
        Whether there are registers between the controller and `sdram`, one in each direction, as
        the controller needs them.  On the FPGA they are in the pads, outside of this.

    Members
    -------
    rx : In(1), tx : Out(1)
        From and to the USB chip.
    button : In(1)
        Reset while it is pressed.
    led : Out(8)
        See `LAMPS`.
    sdram : Out(sdram_pins(chip))
    """

    def __init__(
        self,
        *,
        arch: Arch,
        chip: SdramChip = ULX3S_SDRAM,
        clock_hz: int = CLOCK_HZ,
        baud: int = BAUD,
        registered: bool = True,
    ) -> None:
        if not isinstance(baud, int) or not 0 < baud <= clock_hz // 4:
            raise ValueError(f"baud must be from 1 to {clock_hz // 4}, not {baud!r}")
        self.arch = arch
        self.chip = chip
        self.clock_hz = clock_hz
        self.registered = registered
        self.divisor = round(clock_hz / baud)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "button": In(1),
                "led": Out(len(LAMPS)),
                "sdram": Out(sdram_pins(chip)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accel = Accel(arch=self.arch)
        link = HostLink(divisor=self.divisor, memory_bytes=self.chip.size, clock_hz=self.clock_hz)
        controller = SdramController(chip=self.chip, clock_hz=self.clock_hz)
        memory = MemoryPort(controller=controller, readers=4, writers=2)
        # The button bounces, and may be pressed at any time.
        pressed = [Signal(name=f"pressed_{k}") for k in range(3)]
        m.d.sync += Cat(pressed).eq(Cat(self.button, pressed))
        reset = ResetInserter(pressed[-1])
        for name, block in (("accel", accel), ("link", link), ("memory", memory)):
            m.submodules[name] = reset(block)
        connect(m, link.csr, accel.csr)
        for index, reader in enumerate((accel.m_desc, accel.m_wgt, accel.m_act, link.m_read)):
            connect(m, reader, memory.r[index])
        for index, writer in enumerate((accel.m_out, link.m_write)):
            connect(m, writer, memory.w[index])
        if self.registered:
            for name in ("command", "ba", "a", "dqm", "dq_o", "dq_oe"):
                m.d.sync += getattr(self.sdram, name).eq(getattr(controller.pins, name))
            m.d.sync += controller.pins.dq_i.eq(self.sdram.dq_i)
        else:
            connect(m, controller.pins, flipped(self.sdram))
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]

        alive = Signal((self.clock_hz // 2).bit_length())
        m.d.sync += alive.eq(alive + 1)
        states = {
            "alive": alive[-1],
            "memory": controller.ready,
            "host": ~link.fresh,
            "receiving": _glow(m, link.receiving, "receiving"),
            "sending": _glow(m, link.sending, "sending"),
            "busy": accel.busy,
            "error": accel.error,
            "damaged": _glow(m, link.damaged, "damaged"),
        }
        m.d.sync += self.led.eq(Cat(states[name] for name in LAMPS))
        return m


def _glow(m: Module, pulse: Signal, name: str) -> Signal:
    """Return a signal that stays high long enough to be seen."""
    left = Signal(_GLOW_BITS, name=f"glow_{name}")
    m.d.sync += left.eq(Mux(pulse, ~0, Mux(left.any(), left - 1, 0)))
    return left.any()
