"""The ULX3S: the accelerator with the board's SDRAM as its memory and a host on its USB port.

This is the design with plain pins, as simulated; the board's record and its pads are in
`hw.boards.ulx3s_top`.
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.boards.serial_soc import LEDS, LinkedAccel, check_baud
from penstock.hw.memory.sdram import SdramController
from penstock.hw.memory.sdram_chip import ULX3S_SDRAM, SdramChip, sdram_pins
from penstock.models.spec.arch import Arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS

__all__ = ["BAUD", "CLOCK_HZ", "Ulx3s"]

# The same for all of these boards, with any size of ECP5.
CLOCK_HZ = SERIAL_BOARDS["ulx3s-85f"].clock_hz
BAUD = SERIAL_BOARDS["ulx3s-85f"].baud


class Ulx3s(wiring.Component):
    """Everything on the FPGA, with plain pins: what simulation uses.

    The clock is that of the `sync` domain; `hw.boards.ulx3s_top` makes it and drives the real pins.

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
        See `hw.boards.serial_soc.LEDS`.
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
        self._controller = SdramController(chip=chip, clock_hz=clock_hz)
        check_baud(baud, clock_hz)  # before anything is created that would stay unused
        self._system = LinkedAccel(
            arch=arch,
            controller=self._controller,
            memory_bytes=chip.size,
            clock_hz=clock_hz,
            baud=baud,
            act_lanes=arch.rows,
        )
        self.registered = registered
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "button": In(1),
                "led": Out(len(LEDS)),
                "sdram": Out(sdram_pins(chip)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.system = system = self._system
        pins = self._controller.pins
        if self.registered:
            for name in ("command", "ba", "a", "dqm", "dq_o", "dq_oe"):
                m.d.sync += getattr(self.sdram, name).eq(getattr(pins, name))
            m.d.sync += pins.dq_i.eq(self.sdram.dq_i)
        else:
            connect(m, pins, flipped(self.sdram))
        m.d.comb += [
            system.rx.eq(self.rx),
            system.button.eq(self.button),
            self.tx.eq(system.tx),
            self.led.eq(system.led),
        ]
        return m
