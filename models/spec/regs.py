"""The control and status registers: one table for hardware, host, documentation and `.hwh`.

32-bit registers on AXI4-Lite.  No register has a read side effect, every address answers (unknown
ones read 0 and ignore writes).  Cumulative counts run from the start bit and keep their value after
done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "BitField",
    "CSR_BYTES",
    "DONE_COUNTS",
    "ERROR_SOURCES",
    "ErrorCause",
    "LOG_BASE",
    "LOG_FIELDS",
    "MAGIC",
    "REGISTERS",
    "Register",
    "VERSION",
    "field",
    "offset",
]

MAGIC = int.from_bytes(b"PSTK", "little")
VERSION = 1
CSR_BYTES = 1 << 14

# The layer log: a memory of entries with one 32-bit word for each field, from LOG_BASE on.
LOG_BASE = 0x2000


class ErrorCause(IntEnum):
    """Why a run stopped."""

    NONE = 0
    SLVERR = 1
    DECERR = 2
    BAD_DESCRIPTOR = 3
    TIMEOUT = 4


# The memory ports, in the order of the numbers in ERROR.source.
ERROR_SOURCES = ("desc", "wgt", "act", "out")

# Engines that others wait for; the registers show their completed descriptors.
DONE_COUNTS = ("LOAD", "CONV", "DRAIN", "POST")


@dataclass(frozen=True)
class BitField:
    """Bits ``lsb`` .. ``lsb + width - 1`` of a register or of another word."""

    name: str
    lsb: int
    width: int
    doc: str

    @property
    def mask(self) -> int:
        """The word with the bits of this field set, and no other."""
        return ((1 << self.width) - 1) << self.lsb

    def of(self, word: int) -> int:
        """Return the field's value in a word."""
        return (word & self.mask) >> self.lsb


@dataclass(frozen=True)
class Register:
    """One register.

    Parameters
    ----------
    name : str
    offset : int
        In bytes.
    access : str
        ``ro`` (hardware writes), ``rw`` (host writes, reads back), ``wo`` (writing acts, reads 0).
    doc : str
    fields : tuple of BitField
        Empty: the register is one 32-bit value.
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[BitField, ...] = ()


# Counters, in the order of the layer log's words: an entry is a snapshot of all of them.
# busy + stall_* + idle = cycles, idle being what is left: no CONV descriptor to work on.
LOG_FIELDS: tuple[tuple[str, str], ...] = (
    ("cycles", "cycles since the start bit"),
    ("busy", "cycles in which an activation word entered the array"),
    ("stall_input", "cycles a CONV descriptor waited for LOAD"),
    ("stall_weights", "cycles a CONV descriptor waited for its weight block"),
    ("stall_output", "cycles a CONV descriptor waited for a free partial-sum bank"),
    ("stall_memory", "cycles of a wait for input or weights in which memory kept the port waiting"),
    ("read_beats", "beats read from memory by all ports"),
    ("write_beats", "beats written to memory"),
)


def _counters() -> tuple[Register, ...]:
    return tuple(
        Register(name.upper(), 0x40 + 4 * index, "ro", doc)
        for index, (name, doc) in enumerate(LOG_FIELDS)
    )


def _diagnostics() -> tuple[Register, ...]:
    ports = [
        Register(f"{port.upper()}_{suffix}", 0x80 + 8 * index + 4 * half, "ro", f"{port}: {doc}")
        for index, port in enumerate(ERROR_SOURCES)
        for half, (suffix, doc) in enumerate(
            (("EXPECTED", "beats requested"), ("RECEIVED", "beats that arrived or were accepted"))
        )
    ]
    engines = [
        Register(f"{name}_DONE", 0xA0 + 4 * index, "ro", f"{name} descriptors completed")
        for index, name in enumerate(DONE_COUNTS)
    ]
    return (*ports, *engines)


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x00, "ro", "the bytes PSTK"),
    Register("VERSION", 0x04, "ro", "version of this register map"),
    Register("FINGERPRINT_LO", 0x08, "ro", "arch fingerprint, bits 31..0"),
    Register("FINGERPRINT_HI", 0x0C, "ro", "arch fingerprint, bits 63..32"),
    Register(
        "CTRL",
        0x10,
        "wo",
        "commands",
        (
            BitField("start", 0, 1, "begin the program; ignored unless idle"),
            BitField("reset", 1, 1, "soft reset: outstanding bursts finish, all else is dropped"),
        ),
    ),
    Register(
        "STATUS",
        0x14,
        "ro",
        "state of the run; done and error hold until the next start or reset",
        (
            BitField("busy", 0, 1, "a program runs"),
            BitField("done", 1, 1, "the program is complete, all results are in memory"),
            BitField("error", 2, 1, "the program stopped: see ERROR"),
            BitField("resetting", 3, 1, "a soft reset is waiting for outstanding bursts"),
        ),
    ),
    Register(
        "IRQ_ENABLE", 0x18, "rw", "interrupt enable", (BitField("done", 0, 1, "on done or error"),)
    ),
    Register(
        "IRQ_PENDING",
        0x1C,
        "rw",
        "interrupt pending; write 1 to clear",
        (BitField("done", 0, 1, "done or error happened"),),
    ),
    Register(
        "ERROR",
        0x20,
        "ro",
        "the first error of the run",
        (
            BitField("cause", 0, 8, "ErrorCause"),
            BitField("source", 8, 8, "memory port (ERROR_SOURCES) of an AXI error"),
        ),
    ),
    Register("DESC_FETCHED", 0x24, "ro", "descriptors fetched; the last one is the bad one"),
    Register("BASE", 0x28, "rw", "bus address that memory offsets are relative to"),
    Register("DESC_ADDR", 0x2C, "rw", "offset of the first descriptor, a multiple of 64"),
    Register("DESC_COUNT", 0x30, "rw", "descriptors in the program"),
    Register("WATCHDOG", 0x34, "rw", "cycles without progress that end a run; 0 switches it off"),
    Register("LOG_COUNT", 0x38, "ro", "layer log entries written by the run"),
    *_counters(),
    *_diagnostics(),
)

_BY_NAME = {register.name: register for register in REGISTERS}
assert len(_BY_NAME) == len({register.offset for register in REGISTERS}) == len(REGISTERS)


def offset(name: str) -> int:
    """Byte offset of the register called `name`.

    Raises
    ------
    KeyError
        If there is no such register.
    """
    return _BY_NAME[name].offset


def field(register: str, name: str) -> BitField:
    """Return the field called `name` of the register called `register`.

    Raises
    ------
    KeyError
        If there is no such register or field.
    """
    return {field.name: field for field in _BY_NAME[register].fields}[name]
