"""The Arty A7: the accelerator with on-chip memory and a host on its USB port."""

from __future__ import annotations

from functools import partial

from penstock.hw.array.dsp48 import MultiplyAdd
from penstock.hw.array.packed import PackedArray
from penstock.hw.boards.on_chip_board import OnChipBoard
from penstock.models.spec.arch import Arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS

__all__ = ["BAUD", "CLOCK_HZ", "MEMORY_BYTES", "SHOWN", "ArtyA7"]

CLOCK_HZ = SERIAL_BOARDS["arty-a7-100t"].clock_hz
BAUD = SERIAL_BOARDS["arty-a7-100t"].baud

MEMORY_BYTES = 256 << 10

# There are four green LEDs.
SHOWN = ("alive", "busy", "error", "damaged")


class ArtyA7(OnChipBoard):
    """Everything on the FPGA; `hw.boards.arty_a7_top` makes the clock and drives the real pins.

    Parameters
    ----------
    arch : Arch
        `rows` and `cols` even: two columns share a DSP.
    mac : type
        What the array's multipliers are, as in `hw.boards.pynq_z2.PynqCore`.
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.
    """

    def __init__(
        self,
        *,
        arch: Arch,
        mac: type[MultiplyAdd] = MultiplyAdd,
        clock_hz: int = CLOCK_HZ,
        baud: int = BAUD,
    ) -> None:
        super().__init__(
            arch=arch,
            memory_bytes=MEMORY_BYTES,
            clock_hz=clock_hz,
            baud=baud,
            shown=SHOWN,
            array=partial(PackedArray, mac=mac),
        )
