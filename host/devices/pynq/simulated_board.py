"""A simulated PYNQ board, driven by pynq on behalf of `host.devices.pynq.pynq_sim`.

pynq is the real package; this is one of its `Device` classes.  It contains the simulated core with
a Zynq's bus ports, the clock registers, contiguous memory with a processor cache, and a folder with
the kernel's files that pynq and Penstock use.

The core is clocked in a thread while it is busy.
"""

from __future__ import annotations

import os
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pynq import Clocks
from pynq.buffer import PynqBuffer
from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
from pynq.pl_server.device import Device
from pynq.pl_server.embedded_device import bit2bin
from pynqmetadata.frontends import Metadata

from penstock.host.devices.csr import Csr
from penstock.host.devices.pynq.linux import System
from penstock.host.devices.rtl_model import PROFILE, Model, ModelError, Profile
from penstock.host.program.allocator import Arena
from penstock.models.spec.memory import PAGE_BYTES

__all__ = ["CMA_BASE", "SimulatedBoard"]

_LINE = 32

# As on the boards: memory for contiguous allocations (CMA).
CMA_BASE = 0x1000_0000
_CMA_BYTES = 128 << 20

_SLCR = 0xF800_0000
_SLCR_BYTES = 0x1000
# ARM, DDR and IO PLL at 1300, 1050 and 1000 MHz from 50 MHz; all dividers as after a boot.
_BOOT = {
    0x100: 26 << 12,
    0x104: 21 << 12,
    0x108: 20 << 12,
    0x120: 2 << 8,
    **{0x170 + 0x10 * n: 10 << 8 | 1 << 20 for n in range(4)},
}

# Cycles between two points at which other threads may use the model.
_CHUNK = 20_000

# Seconds between two polls of whether a raised interrupt has been enabled.
_AGAIN = 0.002


class _Piece:
    """Contiguous memory: address, the processor's view, and the contents that memory has."""

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.view: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.synced = self.view.copy()


class _Buffer(PynqBuffer):
    """pynq's buffer, in the simulated board's memory."""

    # Arrays of NumPy 2 have a read-only attribute of this name, which pynq sets.
    device: Any = None

    def freebuffer(self) -> None:
        """Free the memory; repeated calls and calls on slices do nothing."""
        piece = self.__dict__.pop("piece", None)
        if piece is not None:
            self.device.take_back(piece)


class SimulatedBoard(Device):
    """One simulated board: fabric, memory, clocks and kernel files.

    Parameters
    ----------
    model : Model
        The simulated core with a Zynq's ports; its memory includes the contiguous memory.  The
        board takes ownership.
    base : int
        Bus address of the core's registers.
    profile : Profile
        Timing of the memory.
    interrupt : bool
        Whether the kernel exposes the interrupt.

    Attributes
    ----------
    system : System
        The board's files.
    pieces : dict
        Contiguous memory in use, by address.
    heard : callable or None
        Called in the clock's thread, now and then while the core runs, with the cycles since it
        began.
    """

    name = "pynq-sim"
    arch = "armv7l"

    def __init__(
        self, model: Model, *, base: int, profile: Profile = PROFILE, interrupt: bool = True
    ) -> None:
        super().__init__("penstock-simulation")
        self.capabilities = {"REGISTER_RW": True}
        self.pieces: dict[int, _Piece] = {}
        self.heard: Callable[[int], None] | None = None
        self._model = model
        self._model.profile(profile)
        self._base = base
        self._arena = Arena(_CMA_BYTES, alignment=PAGE_BYTES)
        self._slcr = dict(_BOOT)
        self._configured = False
        self._lock, self._next = threading.Lock(), threading.Lock()
        self._work = threading.Event()
        self._closing = False
        self._failure: str | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-board-")
        self.system = System(root=Path(self._folder.name), simulated=True)
        self._uio, self._uio_far = self._make_files(interrupt)
        # pynq keeps the first device whose clocks were set; here every board has its own clocks.
        if hasattr(Clocks, "_real_instance"):
            del Clocks._real_instance
        self._clock = threading.Thread(target=self._run_clock, name="board-clock", daemon=True)
        self._clock.start()

    # Called by pynq.

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """Parse the description as on a board."""
        parser = RuntimeMetadataParser(Metadata(input=Path(bitfile_name).with_suffix(".hwh")))
        parser.refresh_hierarchy_dict()
        parser.bin_data = bit2bin(Path(bitfile_name).read_bytes())
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Configure the fabric: the core starts from reset."""
        with self._turn():
            self._model.reset()
            self._failure = None
            self._configured = True
        (self.system.fpga_manager / "state").write_text("operating\n")
        super().post_download(bitstream, parser, self.name)

    def read_registers(self, address: int, length: int) -> bytes:
        """Read words from the bus."""
        words = [self._read_word(address + where) for where in range(0, length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Write words to the bus."""
        values = bytes(data)
        for where in range(0, len(values), 4):
            self._write_word(address + where, int.from_bytes(values[where : where + 4], "little"))

    def allocate(self, shape: Any, dtype: Any, **options: Any) -> PynqBuffer:
        """Allocate contiguous memory; only after an overlay was loaded, as on a board."""
        if not self._configured:
            raise RuntimeError("Overlay is not downloaded")
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        offset = self._arena.alloc(size)
        if offset is None:
            raise RuntimeError(f"failed to allocate {size} bytes")
        piece = _Piece(CMA_BASE + offset, size)
        self.pieces[piece.offset] = piece
        self._show_memory()
        buffer = _Buffer(
            shape,
            dtype,
            buffer=piece.view,
            device=self,
            device_address=piece.offset,
            coherent=False,
            bo=piece,
        )
        buffer.piece = piece
        return buffer

    def take_back(self, piece: _Piece) -> None:
        """Free contiguous memory."""
        if self._closing:
            return
        del self.pieces[piece.offset]
        self._arena.free(piece.offset - CMA_BASE)
        self._show_memory()

    def flush(self, bo: _Piece, offset: int, ptr: int, size: int) -> None:
        """Write the changed cache lines of the whole piece to memory."""
        for start, stop in self._changed(bo):
            self._model.memory[bo.offset + start : bo.offset + stop] = bo.view[start:stop]
            bo.synced[start:stop] = bo.view[start:stop]

    def invalidate(self, bo: _Piece, offset: int, ptr: int, size: int) -> None:
        """Drop the cache lines of the whole piece: the view shows memory again."""
        memory = self._model.memory[bo.offset : bo.offset + len(bo.view)]
        bo.view[:] = memory
        bo.synced[:] = memory

    def close(self) -> None:
        """Stop the clock and free everything; repeated calls do nothing."""
        if self._closing:
            return
        self._closing = True
        self._work.set()
        self._clock.join()
        self._model.close()
        for file in (self._uio, self._uio_far):
            if file is not None:
                os.close(file)
        self._folder.cleanup()

    # Internals of the board.

    @staticmethod
    def _changed(piece: _Piece) -> list[tuple[int, int]]:
        """Runs of cache lines that differ from memory."""
        different = piece.view != piece.synced
        lines = np.add.reduceat(different, np.arange(0, len(different), _LINE)) > 0
        edges = np.flatnonzero(np.diff(np.concatenate(([0], lines.astype(np.int8), [0]))))
        return [(int(a) * _LINE, int(b) * _LINE) for a, b in edges.reshape(-1, 2)]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the model, in fair turns: a waiting thread comes before one that reacquires it."""
        with self._next:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _read_word(self, address: int) -> int:
        if _SLCR <= address < _SLCR + _SLCR_BYTES:
            return self._slcr.get(address - _SLCR, 0)
        with self._turn():
            self._check()
            try:
                value = self._model.read(address)
            except ModelError as error:
                raise OSError(f"bus error: {error}") from None
            self._check()
        return value

    def _write_word(self, address: int, value: int) -> None:
        if _SLCR <= address < _SLCR + _SLCR_BYTES:
            self._slcr[address - _SLCR] = value
            return
        with self._turn():
            self._check()
            try:
                self._model.write(address, value)
            except ModelError as error:
                raise OSError(f"bus error: {error}") from None
            self._check()
        self._work.set()

    def _check(self) -> None:
        """Refuse accesses that would freeze a board, and record AXI violations."""
        if not self._configured:
            raise OSError("nothing is configured that could answer")
        if self._failure is None and self._model.violation:
            self._failure = f"AXI rules broken: {self._model.violation}"
        if self._failure is not None:
            raise OSError(self._failure)

    def _run_clock(self) -> None:
        """Clock the core while it runs, and raise the interrupt at the end."""
        csr = Csr(
            lambda where: self._model.read(self._base + where),
            lambda where, value: self._model.write(self._base + where, value),
        )
        irq = False
        while True:
            # The line is level-sensitive: enabling it late still delivers the interrupt.
            if not self._work.wait(_AGAIN if irq and self._uio_far is not None else None):
                with self._turn():
                    irq = self._model.irq
                    if irq:
                        self._raise_interrupt()
                continue
            self._work.clear()
            busy = not self._closing
            passed = 0
            while busy and not self._closing:
                with self._turn():
                    try:
                        passed += self._model.run(_CHUNK)
                        busy = not csr.idle
                        irq = self._model.irq
                    except ModelError as error:
                        self._failure = self._failure or str(error)
                        break
                    if irq:
                        self._raise_interrupt()
                if busy and self.heard is not None:
                    self.heard(passed)
            if self._closing:
                return

    def _raise_interrupt(self) -> None:
        """Deliver the interrupt once if a program enabled it."""
        if self._uio_far is None:
            return
        try:
            enabled = os.read(self._uio_far, 4096)
        except BlockingIOError:
            return
        if enabled:
            os.write(self._uio_far, (1).to_bytes(4, "little"))

    def _make_files(self, interrupt: bool) -> tuple[int | None, int | None]:
        """Create the kernel's files; return both ends of the interrupt's file."""
        root = self.system.root
        self.system.fpga_manager.mkdir(parents=True)
        (self.system.fpga_manager / "state").write_text("unknown\n")
        (root / "proc").mkdir()
        self._show_memory()
        if not interrupt:
            return None, None
        # A pseudo-terminal is a file that two programs can write words to and wait for.
        far, near = os.openpty()
        tty.setraw(near)
        os.set_blocking(far, False)
        (root / "sys/class/uio/uio0").mkdir(parents=True)
        (root / "sys/class/uio/uio0/name").write_text("fabric\n")
        (root / "dev").mkdir()
        (root / "dev/uio0").symlink_to(os.ttyname(near))
        return near, far

    def _show_memory(self) -> None:
        used = sum(len(piece.view) for piece in self.pieces.values())
        (self.system.root / "proc/meminfo").write_text(
            f"CmaTotal:       {_CMA_BYTES >> 10} kB\n"
            f"CmaFree:        {(_CMA_BYTES - used) >> 10} kB\n"
        )
