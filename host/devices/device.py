"""The interface of every back end that runs programs.

A device owns the memory of programs and feature maps, and runs one program at a time.  A back end
is a module with a function ``create(arch, **options) -> Device``; `host.apps.open_device` has the
list of them.
"""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES
from penstock.models.spec.regs import LOG_FIELDS, ErrorCause

if TYPE_CHECKING:
    from typing_extensions import Self

    from penstock.host.devices.csr import Csr
    from penstock.host.devices.recording import Recording
    from penstock.host.program.program import Program

__all__ = [
    "Buffer",
    "Device",
    "DeviceError",
    "DeviceFull",
    "RunLog",
    "difference",
]

Data = bytes | bytearray | memoryview | NDArray[np.uint8]


class DeviceError(RuntimeError):
    """A device operation failed: one line with cause, port and counts."""


class DeviceFull(DeviceError):
    """There is no contiguous free device memory of the requested size."""


@dataclass(frozen=True)
class Buffer:
    """A contiguous range of device memory.

    Parameters
    ----------
    offset : int
        Address of the first byte, a multiple of 4096; the base address of a program in the buffer.
    size : int
        In bytes.
    """

    offset: int
    size: int


@dataclass
class RunLog:
    """The counters of a run.

    Parameters
    ----------
    entries : list of dict
        One for each layer of the program, in order: a snapshot of `models.spec.regs.LOG_FIELDS` at
        the layer's end, counted from the start of the run.
    totals : dict
        The same counters at the end of the run.
    seconds : float
        Wall time of the run.
    recording : Recording or None
        Events of the engines, if the device records.
    """

    entries: list[dict[str, int]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    recording: Recording | None = None

    def steps(self) -> list[dict[str, int]]:
        """Return the counts of each layer: differences between consecutive entries."""
        before = {name: 0 for name, _ in LOG_FIELDS}
        steps = []
        for entry in self.entries:
            steps.append({name: entry[name] - before[name] for name in before})
            before = entry
        return steps


class Device(abc.ABC):
    """Memory and an accelerator; a context manager that closes itself.

    Parameters
    ----------
    arch : Arch
        The accelerator's parameters.

    Attributes
    ----------
    csr : Csr or None
        The accelerator's registers; None if the device has none.
    stop : threading.Event
        While set (by another thread), runs end soon with `DeviceError`, on devices with long runs.
    heard : callable or None
        Called now and then while a run goes on, on devices whose runs take long, with what is done
        of it: cycles if the device counts them, else descriptors.
    counts_cycles : bool
        Whether `heard` is told cycles.
    verify : bool
        Whether `upload` reads back and compares.
    uploaded, verified : int
        Bytes written by `upload` so far, and bytes verified by reading back.
    """

    name = "device"
    counts_cycles = False

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self.csr: Csr | None = None
        self.stop = threading.Event()
        self.heard: Callable[[int], None] | None = None
        self.verify = False
        self.uploaded = self.verified = 0

    @abc.abstractmethod
    def alloc(self, size: int) -> Buffer:
        """Reserve `size` bytes of memory, aligned to 4 KiB.

        Raises
        ------
        DeviceFull
            If no free range is large enough.
        """

    @abc.abstractmethod
    def free(self, buffer: Buffer) -> None:
        """Free a buffer.

        Raises
        ------
        DeviceError
            If the buffer was not returned by `alloc`, or is already free.
        """

    @abc.abstractmethod
    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        """Copy `data` to memory, `offset` bytes from the start of the buffer."""

    @abc.abstractmethod
    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        """Return a copy of `size` bytes, `offset` bytes from the start of the buffer."""

    @abc.abstractmethod
    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        """Run `program`, whose image and input are in `buffer`, to its end.

        Parameters
        ----------
        timeout : float
            Seconds of wall time after which the run fails.

        Raises
        ------
        DeviceError
            If the program is for another arch, or the run fails or times out.
        """

    @abc.abstractmethod
    def counters(self) -> dict[str, int]:
        """Return the counters of `models.spec.regs.LOG_FIELDS` of the last run."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything; the device cannot be used afterwards."""

    def another(self) -> Device | None:
        """Open another device of the same kind, to run in parallel; None if there is none.

        Raises
        ------
        DeviceError
            If it cannot be opened.
        """
        return None

    def check_program(self, program: Program, buffer: Buffer) -> None:
        """Check that a program can run on this device.

        Raises
        ------
        DeviceError
            If it is for another arch or does not fit the buffer.
        """
        if program.arch_fingerprint != self.arch.fingerprint:
            raise DeviceError(
                f"the program is for arch {program.arch_name} "
                f"({program.arch_fingerprint:016x}), the device is {self.arch}"
            )
        if program.arena_bytes > buffer.size:
            raise DeviceError(
                f"the program needs {program.arena_bytes} bytes, the buffer has {buffer.size}"
            )

    def check_counts(self, program: Program) -> None:
        """Compare the core's counts of a completed run with the program's.

        Raises
        ------
        DeviceError
            If descriptors, beats of a memory port, or entries of the layer log are too few or too
            many.
        """
        if self.csr is None:
            return
        traffic = program.traffic
        wrap = 1 << self.arch.count_bits
        wrong = self.csr.count_error(
            beats={port: beats % wrap for port, beats in traffic.beats.items()},
            descriptors=program.desc_count,
            entries=traffic.marks,
        )
        if wrong is not None:
            raise DeviceError(wrong)

    def describe_error(self, program: Program, buffer: Buffer) -> str:
        """Return why a run failed and, for a refused descriptor, what memory holds instead."""
        assert self.csr is not None
        text = f"{self.csr.describe_error()}; {_totals(program)}"
        if self.csr.cause != ErrorCause.BAD_DESCRIPTOR:
            return text
        # The refused descriptor is the last one fetched.
        index = self.csr.read("DESC_FETCHED") - 1
        start = program.desc_offset + index * DESCRIPTOR_BYTES
        wanted = np.frombuffer(program.image, np.uint8)[start : start + DESCRIPTOR_BYTES]
        found = self.read_back(buffer, start, DESCRIPTOR_BYTES)
        wrong = difference(found, wanted) or "memory holds what the program says"
        return f"{text}; {wrong}"

    def diagnosis(self, program: Program) -> str:
        """Return beats expected and received by each port, and beats of the whole program."""
        assert self.csr is not None
        return f"{self.csr.diagnosis()}; {_totals(program)}"

    def upload(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        """Write, and if `verify` is set, read back and compare.

        Raises
        ------
        DeviceError
            If memory does not hold the written data.
        """
        self.write(buffer, data, offset)
        wanted = np.frombuffer(data, np.uint8)
        size = len(wanted)
        self.uploaded += size
        if not self.verify:
            return
        found = self.read_back(buffer, offset, size)
        wrong = difference(found, wanted)
        if wrong is not None:
            raise DeviceError(f"upload of {size} bytes to {buffer.offset + offset:#x}: {wrong}")
        self.verified += size

    def read_back(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        """Read memory itself, bypassing caches."""
        return self.read(buffer, offset, size)

    def check_range(self, buffer: Buffer, offset: int, size: int) -> None:
        """Check that an access stays inside the buffer.

        Raises
        ------
        DeviceError
            If ``offset .. offset + size`` is not inside.
        """
        if offset < 0 or size < 0 or offset + size > buffer.size:
            raise DeviceError(
                f"bytes {offset} to {offset + size} are outside a buffer of {buffer.size} bytes"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _totals(program: Program) -> str:
    beats = ", ".join(f"{port} {count}" for port, count in program.traffic.beats.items())
    return f"beats of the whole program: {beats}"


def difference(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> str | None:
    """Return how the bytes read differ from those written; None if they are equal."""
    if len(found) != len(wanted):
        return f"{len(found)} bytes came back"
    wrong = np.flatnonzero(found != wanted)
    if not len(wrong):
        return None
    first = int(wrong[0])
    return (
        f"{len(wrong)} of {len(wanted)} bytes differ in memory, the first at {first}: "
        f"{found[first]:#04x} instead of {wanted[first]:#04x}"
    )
