"""Boards with a serial port: the settings that hardware and host must share.

The design divides its clock to the bits of the wire, the host opens its port with the same rate.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SERIAL_BOARDS", "SerialBoard"]


@dataclass(frozen=True, kw_only=True)
class SerialBoard:
    """One board.

    Parameters
    ----------
    arch : str
        Preset of `models.spec.arch`.
    clock_hz : int
        Frequency of the core.
    baud : int
        Bits a second on the wire: at most a quarter of the clock, best an integer fraction of it.
    """

    arch: str
    clock_hz: int
    baud: int


# The FT231X of a ULX3S supports at most 3 Mbaud.
SERIAL_BOARDS: dict[str, SerialBoard] = {
    "arty-a7-100t": SerialBoard(arch="arty-a7-100t", clock_hz=80_000_000, baud=2_000_000),
    "tang-nano-20k": SerialBoard(arch="tang-nano-20k", clock_hz=54_000_000, baud=1_000_000),
    "ulx3s-25f": SerialBoard(arch="ulx3s-25f", clock_hz=90_000_000, baud=3_000_000),
    "ulx3s-45f": SerialBoard(arch="ulx3s-45f", clock_hz=90_000_000, baud=3_000_000),
    "ulx3s-85f": SerialBoard(arch="ulx3s-85f", clock_hz=90_000_000, baud=3_000_000),
}
