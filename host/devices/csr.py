"""The accelerator's registers, independent of the bus: starting runs, reading counters and errors.

`models.spec.regs` defines the single registers; back ends differ only in how a word is read and
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import (
    ERROR_SOURCES,
    LOG_BASE,
    LOG_FIELDS,
    MAGIC,
    REGISTERS,
    VERSION,
    ErrorCause,
    field,
    offset,
)

__all__ = ["Csr"]

_START, _RESET = (field("CTRL", name).mask for name in ("start", "reset"))
_BUSY, _DONE, _ERROR, _RESETTING = (
    field("STATUS", name).mask for name in ("busy", "done", "error", "resetting")
)
_CAUSE, _SOURCE = (field("ERROR", name) for name in ("cause", "source"))


class Csr:
    """The registers of one accelerator.

    Parameters
    ----------
    read : callable
        Returns the 32-bit word at a byte offset.
    write : callable
        Writes one: byte offset, value.

    Attributes
    ----------
    writes : int
        Number of words written so far.
    changes : int
        Those of them that changed the register's value.
    resets : int
        Number of soft resets begun so far.
    """

    def __init__(self, read: Callable[[int], int], write: Callable[[int, int], None]) -> None:
        self._read = read
        self._write = write
        self._given: dict[str, int] = {}
        self.writes = self.changes = self.resets = 0

    def read(self, name: str) -> int:
        """Return the value of a register."""
        return self._read(offset(name))

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self._write(offset(name), value)
        self.writes += 1
        self.changes += self._given.get(name) != value
        self._given[name] = value

    def identity_error(self, arch: Arch) -> str | None:
        """Return why this is not an accelerator of `arch`; None if it is."""
        magic, version = self.read("ID"), self.read("VERSION")
        if magic != MAGIC or version != VERSION:
            return f"has ID {magic:08x} version {version}, not {MAGIC:08x} version {VERSION}"
        found = self.read("FINGERPRINT_LO") | self.read("FINGERPRINT_HI") << 32
        if found != arch.fingerprint:
            return f"is of arch {found:016x}, not of {arch}"
        return None

    def start(self, *, base: int, desc_offset: int, desc_count: int, watchdog: int) -> None:
        """Start a run, which raises the interrupt at its end.

        Parameters
        ----------
        base : int
            Bus address that the program's offsets are relative to.
        desc_offset, desc_count : int
            Offset and number of the descriptors.
        watchdog : int
            Cycles without progress after which the run ends with an error; 0: never.
        """
        self.write("BASE", base)
        self.write("DESC_ADDR", desc_offset)
        self.write("DESC_COUNT", desc_count)
        self.write("WATCHDOG", watchdog)
        self.write("IRQ_ENABLE", field("IRQ_ENABLE", "done").mask)
        self.acknowledge()
        self.write("CTRL", _START)

    def acknowledge(self) -> None:
        """Clear the pending interrupt."""
        self.write("IRQ_PENDING", field("IRQ_PENDING", "done").mask)

    def begin_reset(self) -> None:
        """Begin a soft reset, which stops a run; bursts in flight still complete, see `idle`."""
        self.resets += 1
        self.write("CTRL", _RESET)
        self.acknowledge()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and no burst is in flight."""
        return not self.read("STATUS") & (_BUSY | _RESETTING)

    @property
    def ended(self) -> bool:
        """Whether the run has ended, with or without an error."""
        return bool(self.read("STATUS") & (_DONE | _ERROR))

    @property
    def failed(self) -> bool:
        """Whether the run ended in an error."""
        return bool(self.read("STATUS") & _ERROR)

    @property
    def cause(self) -> int:
        """Why the run failed: a `models.spec.regs.ErrorCause`."""
        return _CAUSE.of(self.read("ERROR"))

    def totals(self) -> dict[str, int]:
        """Return the counters of `models.spec.regs.LOG_FIELDS`."""
        return {name: self.read(name.upper()) for name, _ in LOG_FIELDS}

    def log(self) -> list[dict[str, int]]:
        """Return the layer log."""
        names = [name for name, _ in LOG_FIELDS]
        size = 4 * len(names)
        return [
            {
                name: self._read(LOG_BASE + entry * size + 4 * word)
                for word, name in enumerate(names)
            }
            for entry in range(self.read("LOG_COUNT"))
        ]

    def count_error(
        self, *, beats: Mapping[str, int], descriptors: int, entries: int
    ) -> str | None:
        """Return which count of a completed run is wrong; None if all are right.

        Parameters
        ----------
        beats : mapping
            Beats of each port of `models.spec.regs.ERROR_SOURCES`.
        descriptors, entries : int
            Expected descriptors fetched, and expected entries of the layer log.
        """
        wanted = {"DESC_FETCHED": descriptors, "LOG_COUNT": entries}
        for port in ERROR_SOURCES:
            wanted[f"{port.upper()}_EXPECTED"] = wanted[f"{port.upper()}_RECEIVED"] = beats[port]
        for name, count in wanted.items():
            found = self.read(name)
            if found != count & 0xFFFF_FFFF:
                return f"the run ended, but {name} is {found}, not {count}: {self.diagnosis()}"
        return None

    def describe_error(self) -> str:
        """Return why the run failed, with `diagnosis`."""
        value = self.read("ERROR")
        cause, source = _CAUSE.of(value), _SOURCE.of(value)
        if cause in (ErrorCause.SLVERR, ErrorCause.DECERR):
            text = f"memory answered port {ERROR_SOURCES[source]} with {ErrorCause(cause).name}"
        elif cause == ErrorCause.BAD_DESCRIPTOR:
            text = f"descriptor {self.read('DESC_FETCHED') - 1} is damaged or for no engine"
        elif cause == ErrorCause.TIMEOUT:
            text = f"no progress for {self.read('WATCHDOG')} cycles"
        else:
            text = f"error {value:#x}"
        return f"{text}: {self.diagnosis()}"

    def diagnosis(self) -> str:
        """Return beats expected and received by each port, incomplete ones first."""
        ports = []
        for name in ERROR_SOURCES:
            expected = self.read(f"{name.upper()}_EXPECTED")
            received = self.read(f"{name.upper()}_RECEIVED")
            ports.append((expected == received, f"{name} {received} of {expected}"))
        beats = ", ".join(text for _, text in sorted(ports, key=lambda port: port[0]))
        fetched, count = self.read("DESC_FETCHED"), self.read("DESC_COUNT")
        return f"beats received: {beats}; descriptors fetched: {fetched} of {count}"

    def dump(self) -> str:
        """Return all readable registers in hexadecimal, in one line."""
        readable = (register for register in REGISTERS if register.access != "wo")
        return " ".join(f"{register.name}={self.read(register.name):x}" for register in readable)
