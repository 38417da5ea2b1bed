"""A board whose memory is in its FPGA: the accelerator, block RAM and a host on a serial port."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.array.systolic import ArrayMaker, SystolicArray
from penstock.hw.boards.serial_soc import LEDS, LinkedAccel, check_baud
from penstock.hw.lib.timing_policy import FAST, TimingPolicy
from penstock.hw.memory.block_memory import BlockMemory
from penstock.models.spec.arch import Arch

__all__ = ["OnChipBoard"]


class OnChipBoard(wiring.Component):
    """Everything on the FPGA, with plain pins: what simulation uses.

    The clock is that of the `sync` domain; the board's top level makes it and drives the real pins.

    Parameters
    ----------
    arch : Arch
    memory_bytes : int
        A power of two.
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.
    shown : sequence of str
        Those of `hw.boards.serial_soc.LEDS` that the board has LEDs for.
    array, slices, timing
        As in `hw.boards.serial_soc.LinkedAccel`.

    Members
    -------
    rx : In(1), tx : Out(1)
        Serial port.
    button : In(1)
        Reset while it is pressed.
    led : Out(len(shown))
    """

    def __init__(
        self,
        *,
        arch: Arch,
        memory_bytes: int,
        clock_hz: int,
        baud: int,
        shown: Sequence[str],
        array: ArrayMaker = SystolicArray,
        slices: bool = True,
        timing: TimingPolicy = FAST,
    ) -> None:
        check_baud(baud, clock_hz)  # before anything is created that would stay unused
        self.shown = tuple(shown)
        self._system = LinkedAccel(
            arch=arch,
            controller=BlockMemory(size=memory_bytes),
            memory_bytes=memory_bytes,
            clock_hz=clock_hz,
            baud=baud,
            array=array,
            slices=slices,
            timing=timing,
        )
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "button": In(1),
                "led": Out(len(self.shown)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.system = system = self._system
        m.d.comb += [
            system.rx.eq(self.rx),
            system.button.eq(self.button),
            self.tx.eq(system.tx),
            self.led.eq(Cat(system.led[LEDS.index(name)] for name in self.shown)),
        ]
        return m
