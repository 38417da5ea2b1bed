"""The Tang Nano 20K: the accelerator with on-chip memory and a host on its USB port."""

from __future__ import annotations

from penstock.hw.boards.on_chip_board import OnChipBoard
from penstock.hw.boards.serial_soc import LEDS
from penstock.hw.lib.timing_policy import SMALL
from penstock.models.spec.arch import Arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS

__all__ = ["BAUD", "CLOCK_HZ", "MEMORY_BYTES", "SHOWN", "TangNano"]

CLOCK_HZ = SERIAL_BOARDS["tang-nano-20k"].clock_hz
BAUD = SERIAL_BOARDS["tang-nano-20k"].baud

MEMORY_BYTES = 32 << 10

# Not shown: the memory is always ready, and `receiving` implies a host.
SHOWN = tuple(name for name in LEDS if name not in ("memory", "host"))


class TangNano(OnChipBoard):
    """Everything on the FPGA; `hw.boards.tang_nano_top` makes the clock and drives the real pins.

    Parameters
    ----------
    arch : Arch
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the wire.
    """

    def __init__(self, *, arch: Arch, clock_hz: int = CLOCK_HZ, baud: int = BAUD) -> None:
        super().__init__(
            arch=arch,
            memory_bytes=MEMORY_BYTES,
            clock_hz=clock_hz,
            baud=baud,
            shown=SHOWN,
            slices=False,  # cells are scarcer than time
            timing=SMALL,
        )
