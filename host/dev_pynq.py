"""The `pynq` device: a PYNQ-Z1 or Z2 board.

All memory is one contiguous buffer of pynq's, as large as the first program needs.  Data goes
through the processor's view of it, which is flushed before a run and invalidated after.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.csr import Csr
from host.device import Buffer, Data, Device, DeviceError, RunLog
from host.memory import Arena
from host.program import Program
from host.pynq_overlay import load_overlay
from host.pynq_system import System
from models.arch import Arch
from models.regs import LOG_FIELDS

__all__ = ["BITSTREAM", "PynqDevice", "create"]

PAGE = 4096

# Where `penstock bitstream --board pynq-z2` leaves it.
BITSTREAM = Path("build/pynq-z2/penstock.bit")

# A tenth of a second: memory never keeps a burst waiting that long.
DEFAULT_WATCHDOG = 10_000_000

# Seconds between two looks at the registers, with and without the interrupt.
_LOOK = 1.0
_POLL = 0.0005


class PynqDevice(Device):
    """A board.

    Parameters
    ----------
    arch : Arch
    bitstream : Path or None
        The ``.bit`` file; None: what the environment variable PENSTOCK_OVERLAY says, or
        `BITSTREAM`.
    watchdog : int
        Cycles without progress after which a run is given up; 0: never.
    interrupt : bool
        Whether to use the interrupt where the system has it, and not to poll.
    system : System
    board : pynq.Device or None
        None: the board this runs on.

    Attributes
    ----------
    overlay : pynq.Overlay
    csr : Csr
    handoff : Handoff
        What the bitstream holds.
    reset_limit : float
        Seconds that outstanding bursts get to end after a soft reset.

    Raises
    ------
    DeviceError
        If the overlay cannot be loaded or is not what it should be.
    """

    name = "pynq"

    def __init__(
        self,
        arch: Arch,
        *,
        bitstream: Path | None = None,
        watchdog: int = DEFAULT_WATCHDOG,
        interrupt: bool = True,
        system: System | None = None,
        board: Any = None,
    ) -> None:
        super().__init__(arch)
        if not 0 <= watchdog < 1 << 32:
            raise ValueError(f"watchdog must be from 0 to {(1 << 32) - 1}, not {watchdog!r}")
        self.watchdog = watchdog
        self.reset_limit = 5.0
        self._system = System() if system is None else system
        if bitstream is None:
            bitstream = Path(os.environ.get("PENSTOCK_OVERLAY") or BITSTREAM)
        self._memory: Any = None
        self._arena = Arena(0, alignment=PAGE)
        self._taken: set[int] = set()
        self._written = self._stale = False
        self._totals = {name: 0 for name, _ in LOG_FIELDS}
        self.csr: Csr
        self.overlay, self.csr, self.handoff = load_overlay(
            bitstream, arch, system=self._system, device=board
        )
        self._interrupt = self._system.interrupt() if interrupt else None
        self._open = True

    @property
    def uses_interrupt(self) -> bool:
        """Whether the end of a run comes by interrupt."""
        return self._interrupt is not None

    @property
    def memory_address(self) -> int:
        """Bus address of the memory; 0 while there is none."""
        return 0 if self._memory is None else int(self._memory.device_address)

    def alloc(self, size: int) -> Buffer:
        self._check_open()
        offset = self._arena.alloc(size)
        if offset is None:
            if self._taken:
                raise DeviceError(f"no {size} bytes of device memory left in one piece")
            self._allocate(-(-size // PAGE) * PAGE)
            offset = self._arena.alloc(size)
            assert offset is not None
        self._taken.add(offset)
        return Buffer(offset, size)

    def free(self, buffer: Buffer) -> None:
        try:
            self._arena.free(buffer.offset)
        except KeyError:
            raise DeviceError(f"no buffer at {buffer.offset} to free") from None
        self._taken.discard(buffer.offset)

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        values = np.frombuffer(data, np.uint8)
        self.check_range(buffer, offset, len(values))
        self._check_open()
        self._invalidate()
        start = buffer.offset + offset
        self._memory[start : start + len(values)] = values
        self._written = True

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self.check_range(buffer, offset, size)
        self._check_open()
        self._invalidate()
        start = buffer.offset + offset
        return np.array(self._memory[start : start + size], np.uint8)

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        """Run `program`, whose image and input are in `buffer`, to its end.

        After an error, the device is ready for the next run.
        """
        self.check_program(program, buffer)
        self._check_open()
        begin = time.monotonic()
        ended = False
        try:
            if not self.csr.idle:
                self._recover()
            if self._written:
                self._memory.flush()
                self._written = False
            if self._interrupt is not None:
                self._interrupt.enable()
            self._stale = True
            self.csr.start(
                base=self.memory_address + buffer.offset,
                desc_offset=program.desc_offset,
                desc_count=program.desc_count,
                watchdog=self.watchdog,
            )
            self._wait(begin, timeout)
            if self.csr.failed:
                raise DeviceError(f"{self.csr.describe_error()}; {self.csr.dump()}")
            self.csr.acknowledge()
            seconds = time.monotonic() - begin
            self._totals = self.csr.totals()
            log = RunLog(self.csr.log(), dict(self._totals), seconds)
            ended = True
        except (OSError, RuntimeError) as error:
            if isinstance(error, DeviceError):
                raise
            raise DeviceError(f"the board does not answer: {error}") from None
        finally:
            if not ended:
                # What went wrong says more; a core that does not stop is met again by the next run.
                with contextlib.suppress(DeviceError):
                    self._recover()
        return log

    def counters(self) -> dict[str, int]:
        """Return the counters of `models.regs.LOG_FIELDS` of the last run that was completed."""
        return dict(self._totals)

    def close(self) -> None:
        """Stop what runs and give the memory back; more than once does nothing."""
        if not self._open:
            return
        self._open = False
        try:
            # The core must not write to memory that belongs to somebody else.
            if not self.csr.idle:
                self._recover()
        except (OSError, RuntimeError):
            pass  # it is gone, and its memory goes all the same
        finally:
            if self._interrupt is not None:
                self._interrupt.close()
            self._release()

    def _check_open(self) -> None:
        if not self._open:
            raise DeviceError("the device is closed")

    def _allocate(self, size: int) -> None:
        """Replace the buffer by one of `size` bytes."""
        from pynq import allocate

        self._release()
        try:
            self._memory = allocate((size,), "u1", target=self.overlay.device)
        except (OSError, RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise DeviceError(
                f"no {size} bytes of contiguous memory ({self._system.contiguous_memory()}): close "
                f"other notebooks and programs that hold buffers, or restart the board; {reason}"
            ) from None
        address = self.memory_address
        if address % PAGE or address + size > 1 << 32:
            self._release()
            raise DeviceError(f"pynq's buffer is at {address:#x}, not on a page of 4 KiB")
        self._arena = Arena(size, alignment=PAGE)
        self._written = self._stale = False

    def _release(self) -> None:
        if self._memory is not None:
            memory, self._memory = self._memory, None
            memory.freebuffer()
        self._arena = Arena(0, alignment=PAGE)
        self._taken.clear()

    def _invalidate(self) -> None:
        """Drop what the processor's caches hold of memory that the core wrote since."""
        if self._stale:
            self._memory.invalidate()
            self._stale = False

    def _wait(self, begin: float, timeout: float) -> None:
        """Wait for the end of the run.

        Raises
        ------
        DeviceError
            If there is none: what the ports asked for and got, and all registers.
        """
        while not self.csr.ended:
            left = begin + timeout - time.monotonic()
            if left <= 0:
                raise DeviceError(
                    f"no end after {timeout:g} s: {self.csr.diagnosis()}; {self.csr.dump()}"
                )
            if self._interrupt is None:
                time.sleep(min(_POLL, left))
            else:
                # A lost interrupt costs a second, not the run.
                self._interrupt.wait(min(_LOOK, left))

    def _recover(self) -> None:
        """Make the core idle: let outstanding bursts end.

        Raises
        ------
        DeviceError
            If they do not.
        """
        try:
            self.csr.begin_reset()
            begin = time.monotonic()
            while not self.csr.idle:
                if time.monotonic() - begin > self.reset_limit:
                    raise DeviceError(
                        f"the core does not stop: {self.csr.diagnosis()}; load the overlay again"
                    )
                time.sleep(_POLL)
        except (OSError, RuntimeError) as error:
            if isinstance(error, DeviceError):
                raise
            raise DeviceError(f"the board does not answer: {error}") from None


def create(arch: Arch, **options: Any) -> PynqDevice:
    """Open the device; see `PynqDevice` for the options."""
    return PynqDevice(arch, **options)
