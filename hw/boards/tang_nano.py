"""The Tang Nano 20K: the accelerator with on-chip memory and a host on its USB port."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.boards.serial_soc import LAMPS, LinkedAccel, check_baud
from penstock.hw.lib.timing_policy import SMALL
from penstock.hw.memory.block_memory import BlockMemory
from penstock.models.spec.arch import Arch
from penstock.models.spec.link_rates import LINK_BAUD

__all__ = ["BAUD", "CLOCK_HZ", "MEMORY_BYTES", "SHOWN", "TangNano"]

CLOCK_HZ = 54_000_000

BAUD = LINK_BAUD["tang-nano-20k"]

MEMORY_BYTES = 32 << 10

# The memory is always there, and a host that sends has been seen.
SHOWN = tuple(name for name in LAMPS if name not in ("memory", "host"))


class TangNano(wiring.Component):
    """Everything on the FPGA, with plain pins: what simulation uses.

    The clock is that of the `sync` domain; `hw.boards.tang_nano_top` makes it and drives the real
    pins.

    Parameters
    ----------
    arch : Arch
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.

    Members
    -------
    rx : In(1), tx : Out(1)
        From and to the USB chip.
    button : In(1)
        Reset while it is pressed.
    led : Out(6)
        See `SHOWN`.
    """

    def __init__(self, *, arch: Arch, clock_hz: int = CLOCK_HZ, baud: int = BAUD) -> None:
        check_baud(baud, clock_hz)  # before there is anything that would be left unused
        self._system = LinkedAccel(
            arch=arch,
            controller=BlockMemory(size=MEMORY_BYTES),
            memory_bytes=MEMORY_BYTES,
            clock_hz=clock_hz,
            baud=baud,
            slices=False,  # cells are scarcer than time
            timing=SMALL,
        )
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "button": In(1), "led": Out(len(SHOWN))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.system = system = self._system
        m.d.comb += [
            system.rx.eq(self.rx),
            system.button.eq(self.button),
            self.tx.eq(system.tx),
            self.led.eq(Cat(system.led[LAMPS.index(name)] for name in SHOWN)),
        ]
        return m
