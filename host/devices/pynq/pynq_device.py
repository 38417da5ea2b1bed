"""The `pynq` device: a PYNQ-Z1 or Z2 board.

Each buffer is a contiguous buffer of pynq's, so that several programs can be resident.  The
processor writes it through its cache, which is flushed before a run and invalidated after it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.csr_device import CsrDevice
from penstock.host.devices.device import Buffer, Data, DeviceError, DeviceFull, RunLog
from penstock.host.devices.pynq.linux import System
from penstock.host.devices.pynq.overlay_loader import load_overlay
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.memory import PAGE_BYTES

__all__ = ["PynqDevice", "create", "default_bitstream"]


# Where `penstock bitstream` leaves it, in the folder it was started in: first that of whoever uses
# the device now, then the checkout's.
_BITSTREAMS = tuple(
    Path(root, "build", board, "penstock.bit")
    for root in ("", Path(__file__).resolve().parents[3])
    for board in ("pynq-z2", "pynq-z1")
)

# A tenth of a second: no burst waits that long for memory.
DEFAULT_WATCHDOG = 10_000_000

# Seconds between two polls of the registers, with and without the interrupt.
_LOOK = 1.0
_POLL = 0.0005


@dataclass
class _Piece:
    """A buffer of pynq's, and the state of the processor's cache for it."""

    memory: Any
    written: bool = False
    stale: bool = False

    def flush(self) -> None:
        """Write the processor's cached data back to memory."""
        if self.written:
            self.memory.flush()
            self.written = False

    def view(self) -> Any:
        """Return the processor's view, with stale cache lines invalidated."""
        if self.stale:
            self.memory.invalidate()
            self.stale = False
        return self.memory


class PynqDevice(CsrDevice):
    """A PYNQ board.

    Parameters
    ----------
    arch : Arch
    bitstream : Path or None
        The ``.bit`` file; None: see `default_bitstream`.
    watchdog : int
        Cycles without progress after which a run fails; 0: never.
    interrupt : bool
        Whether to use the interrupt, if the system has it, instead of polling.
    system : System
    board : pynq.Device or None
        None: the board this runs on.

    Attributes
    ----------
    overlay : pynq.Overlay
    csr : Csr
    handoff : Handoff
        The bitstream's description.
    reset_limit : float
        Seconds within which outstanding bursts must end after a soft reset.

    Raises
    ------
    DeviceError
        If the overlay cannot be loaded or is not the expected one.
    """

    name = "pynq"
    FAULTS = (OSError, RuntimeError)

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
        super().__init__(arch, watchdog=watchdog)
        self.reset_limit = 5.0
        self._system = System() if system is None else system
        if bitstream is None:
            bitstream = default_bitstream()
        self._pieces: dict[int, _Piece] = {}
        self.overlay, self.csr, self.handoff = load_overlay(
            bitstream, arch, system=self._system, device=board
        )
        self._interrupt = self._system.interrupt() if interrupt else None
        self._open = True

    @property
    def uses_interrupt(self) -> bool:
        """Whether the end of a run is signalled by interrupt."""
        return self._interrupt is not None

    def alloc(self, size: int) -> Buffer:
        from pynq import allocate

        self._check_open()
        rounded = -(-size // PAGE_BYTES) * PAGE_BYTES
        try:
            memory = allocate((rounded,), "u1", target=self.overlay.device)
        except (OSError, RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise DeviceFull(
                f"no {rounded} bytes of contiguous memory ({self._system.contiguous_memory()}): "
                f"close other notebooks and programs that hold buffers, or restart the board; "
                f"{reason}"
            ) from None
        address = int(memory.device_address)
        if address % PAGE_BYTES or address + rounded > 1 << 32:
            memory.freebuffer()
            raise DeviceError(f"pynq's buffer is at {address:#x}, not on a page of 4 KiB")
        self._pieces[address] = _Piece(memory)
        return Buffer(address, size)

    def free(self, buffer: Buffer) -> None:
        if buffer.offset not in self._pieces:
            raise DeviceError(f"no buffer at {buffer.offset} to free")
        # A core that does not stop may still write to this buffer: keep it until `close`.
        if self._stopped():
            self._pieces.pop(buffer.offset).memory.freebuffer()

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        values = np.frombuffer(data, np.uint8)
        self.check_range(buffer, offset, len(values))
        piece = self._piece(buffer)
        piece.view()[offset : offset + len(values)] = values
        piece.written = True

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self.check_range(buffer, offset, size)
        return np.array(self._piece(buffer).view()[offset : offset + size], np.uint8)

    def read_back(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        piece = self._piece(buffer)
        piece.flush()
        piece.stale = True
        return self.read(buffer, offset, size)

    def start(self, program: Program, buffer: Buffer) -> None:
        """Begin a run: what `run` does first."""
        piece = self._piece(buffer)
        piece.flush()
        if self._interrupt is not None:
            self._interrupt.enable()
        piece.stale = True
        super().start(program, buffer)

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        """Run `program`, whose image and input are in `buffer`, to its end.

        After an error, the device is ready for the next run.
        """
        self._piece(buffer)  # refused before the core is touched
        return super().run(program, buffer, timeout=timeout)

    def describe_error(self, program: Program, buffer: Buffer) -> str:
        """Say why a run stopped, with all registers."""
        return f"{super().describe_error(program, buffer)}; {self.csr.dump()}"

    def _ended(self) -> None:
        self.csr.acknowledge()

    def _fault(self, error: Exception) -> str:
        return f"the board does not answer: {error}"

    def close(self) -> None:
        """Stop the core and free the memory; repeated calls do nothing."""
        if not self._open:
            return
        self._open = False
        self._stopped()  # its memory is freed even if it does not stop
        if self._interrupt is not None:
            self._interrupt.close()
        while self._pieces:
            self._pieces.popitem()[1].memory.freebuffer()

    def _check_open(self) -> None:
        if not self._open:
            raise DeviceError("the device is closed")

    def _piece(self, buffer: Buffer) -> _Piece:
        self._check_open()
        piece = self._pieces.get(buffer.offset)
        if piece is None:
            raise DeviceError(f"no buffer at {buffer.offset}")
        return piece

    def _wait(self, program: Program, begin: float, timeout: float) -> None:
        """Wait for the end of the run.

        Raises
        ------
        DeviceError
            After the timeout, with the ports' beats and all registers.
        """
        while not self.csr.ended:
            left = begin + timeout - time.monotonic()
            if left <= 0:
                raise DeviceError(
                    f"no end after {timeout:g} s: {self.diagnosis(program)}; {self.csr.dump()}"
                )
            if self._interrupt is None:
                time.sleep(min(_POLL, left))
            else:
                # A lost interrupt delays the run by one poll, but does not fail it.
                self._interrupt.wait(min(_LOOK, left))

    def _stopped(self) -> bool:
        """Stop the core; return whether it is certain to write no more to memory."""
        try:
            if not self.csr.idle:
                self._recover()
        except (OSError, RuntimeError):
            return False
        return True

    def _recover(self) -> None:
        """Make the core idle: let outstanding bursts end.

        Raises
        ------
        DeviceError
            If they do not end.
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


def default_bitstream() -> Path:
    """Return the bitstream to load when none is named.

    What the environment variable PENSTOCK_OVERLAY says; else the first that is there of those that
    `penstock bitstream` makes for a PYNQ board.

    Raises
    ------
    DeviceError
        If there is none.
    """
    named = os.environ.get("PENSTOCK_OVERLAY")
    if named:
        return Path(named)
    for path in _BITSTREAMS:
        if path.is_file():
            return path
    raise DeviceError(
        "no overlay: --overlay or PENSTOCK_OVERLAY says where it is (`penstock bitstream --board "
        f"pynq-z2` makes one); looked for {', '.join(map(str, _BITSTREAMS))}"
    )


def create(arch: Arch, **options: Any) -> PynqDevice:
    """Open the device; see `PynqDevice` for the options."""
    return PynqDevice(arch, **options)
