"""Parameters of an SDR SDRAM chip for its controller, and its pins."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COMMANDS", "ULX3S_SDRAM", "SdramChip", "sdram_pins"]

# ras_n, cas_n, we_n as a number with ras_n on top; the chip is always selected.
COMMANDS = {
    "NOP": 0b111,
    "ACTIVATE": 0b011,
    "READ": 0b101,
    "WRITE": 0b100,
    "PRECHARGE": 0b010,
    "REFRESH": 0b001,
    "MODE": 0b000,
}


@dataclass(frozen=True, kw_only=True)
class SdramChip:
    """Geometry and timing of a chip with a 16-bit bus.

    Parameters
    ----------
    row_bits, column_bits, bank_bits : int
    cas_latency : int
        Cycles from READ to its first word.
    t_rcd, t_rp, t_ras, t_rc, t_rfc, t_wr, t_rrd : float
        Shortest times in ns: ACTIVATE to READ or WRITE; PRECHARGE to ACTIVATE; ACTIVATE to
        PRECHARGE; ACTIVATE to ACTIVATE of a bank; REFRESH to the next command; last word written
        to PRECHARGE; ACTIVATE to ACTIVATE of different banks.
    c_mrd : int
        Cycles from MODE to the next command.
    refreshes : int
        Needed in `t_ref`.
    t_ref : float
        In ns.
    t_power : float
        From stable power to the first command, in ns.
    t_ac, t_oh : float
        From a clock edge to the word it brings, longest, and how long the word before stays,
        shortest, in ns.
    """

    row_bits: int
    column_bits: int
    bank_bits: int
    cas_latency: int
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rc: float
    t_rfc: float
    t_wr: float
    t_rrd: float
    c_mrd: int
    refreshes: int
    t_ref: float
    t_power: float
    t_ac: float
    t_oh: float

    def __post_init__(self) -> None:
        if self.cas_latency not in (2, 3):
            raise ValueError(f"cas_latency must be 2 or 3, not {self.cas_latency!r}")

    @property
    def size(self) -> int:
        """Bytes."""
        return 2 << self.row_bits + self.column_bits + self.bank_bits

    def cycles(self, name: str, clock_hz: int) -> int:
        """Clock cycles that the time called `name` takes, rounded up."""
        return ceil(getattr(self, name) * clock_hz / 1e9 - 1e-9)


# Boards were made with chips of several makers: IS42S16160G-7, MT48LC16M16A2-7E and -75,
# AS4C16M16SA-7, W9825G6KH-6.  These are the slowest of their datasheets' values.
ULX3S_SDRAM = SdramChip(
    row_bits=13,
    column_bits=9,
    bank_bits=2,
    cas_latency=3,
    t_rcd=21.0,
    t_rp=21.0,
    t_ras=45.0,
    t_rc=66.0,
    t_rfc=70.0,
    t_wr=15.0,
    t_rrd=15.0,
    c_mrd=2,
    refreshes=8192,
    t_ref=64e6,
    t_power=200e3,
    t_ac=5.4,
    t_oh=2.5,
)


def sdram_pins(chip: SdramChip) -> wiring.Signature:
    """Signature of a controller's end of the chip's pins, without clock, clock enable and select.

    Members
    -------
    command : Out(3)
        One of `COMMANDS`.
    ba, a, dqm : Out
    dq_o, dq_oe : Out(16), Out(1)
    dq_i : In(16)
    """
    return wiring.Signature(
        {
            "command": Out(3, init=COMMANDS["NOP"]),
            "ba": Out(chip.bank_bits),
            "a": Out(chip.row_bits),
            "dqm": Out(2),
            "dq_o": Out(16),
            "dq_oe": Out(1),
            "dq_i": In(16),
        }
    )
