"""A simulated core with its memory in this process: the library of `sim.library.build`, by ctypes.

Its functions are those at the end of ``sim/library/harness.cpp``.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.recording import EVENT, SAMPLE, Recording
from penstock.models.spec.memory import PAGE_BYTES
from penstock.models.spec.regs import offset

__all__ = ["PROFILE", "Fault", "Model", "ModelError", "Profile"]

_Handle = ctypes.c_void_p
_u32, _u64 = ctypes.c_uint32, ctypes.c_uint64
_SIGNATURES = {
    "open": (_Handle, [_u64]),
    "close": (None, [_Handle]),
    "memory": (ctypes.c_void_p, [_Handle]),
    "profile": (None, [_Handle, _u32, _u32, _u64, _u32, _u32]),
    "writable": (None, [_Handle, ctypes.POINTER(_u64), _u32]),
    "fault": (None, [_Handle, _u32, _u32, _u64]),
    "reset": (None, [_Handle]),
    "write": (ctypes.c_int, [_Handle, _u32, _u32, _u32]),
    "read": (ctypes.c_int, [_Handle, _u32, ctypes.POINTER(_u32), _u32]),
    "run": (_u64, [_Handle, _u64]),
    "irq": (ctypes.c_int, [_Handle]),
    "cycles": (_u64, [_Handle]),
    "moved": (_u64, [_Handle]),
    "violation": (ctypes.c_char_p, [_Handle]),
    "trace": (ctypes.c_int, [_Handle, ctypes.c_char_p]),
}

# Cycles after which a register access times out.
_CSR_LIMIT = 1000


class ModelError(RuntimeError):
    """The simulation cannot continue: no memory, no response, or a violation of the AXI rules."""


class Fault(enum.IntEnum):
    """A fault of the memory at a beat.

    HANG transfers and acknowledges nothing from there on, NO_ADDRESS accepts no address, NO_ANSWER
    acknowledges no write.
    """

    NONE = 0
    HANG = 1
    SLVERR = 2
    DECERR = 3
    NO_ADDRESS = 4
    NO_ANSWER = 5


class Profile:
    """Timing of the memory.

    Parameters
    ----------
    latency : int
        Cycles from an accepted address to the first beat, and from the last write beat to its
        response.
    stall_per_mille : int
        Cycles per 1000 in which no beat is transferred, 0 to 999.
    seed : int
        Seed of the generator that chooses those cycles.
    jitter : int
        Maximum cycles by which a burst exceeds `latency`.
    refuse_per_mille : int
        Cycles per 1000 in which one channel of one port is stalled, 0 to 999: addresses, data and
        responses of memory and of the registers.
    """

    def __init__(
        self,
        *,
        latency: int = 40,
        stall_per_mille: int = 50,
        seed: int = 1,
        jitter: int = 0,
        refuse_per_mille: int = 0,
    ) -> None:
        if not 0 <= latency < 1 << 20:
            raise ValueError(f"latency must be from 0 to {(1 << 20) - 1}, not {latency!r}")
        if not 0 <= stall_per_mille < 1000:
            raise ValueError(f"stall_per_mille must be from 0 to 999, not {stall_per_mille!r}")
        if not 0 <= jitter < 1 << 20:
            raise ValueError(f"jitter must be from 0 to {(1 << 20) - 1}, not {jitter!r}")
        if not 0 <= refuse_per_mille < 1000:
            raise ValueError(f"refuse_per_mille must be from 0 to 999, not {refuse_per_mille!r}")
        self.latency = latency
        self.stall_per_mille = stall_per_mille
        self.seed = seed
        self.jitter = jitter
        self.refuse_per_mille = refuse_per_mille


# `pynq-z2`: the profile of all published figures.
PROFILE = Profile()


class Model:
    """One simulated core.  Not thread-safe; calls release the GIL.

    Parameters
    ----------
    library : Path
        Path returned by `sim.library.build.library`.
    memory_bytes : int
        Size of the memory, from address 0; accesses beyond it get DECERR.
    registers : int
        Address of the first register.

    Attributes
    ----------
    resets : int
        Number of calls of `reset`.
    memory : NDArray[uint8]
        The memory itself, shape (memory_bytes,).  Pages are allocated when touched.

    Raises
    ------
    ModelError
        If the memory cannot be mapped.
    """

    def __init__(self, library: Path, *, memory_bytes: int, registers: int = 0) -> None:
        if memory_bytes < PAGE_BYTES or memory_bytes > 1 << 32 or memory_bytes % PAGE_BYTES:
            raise ValueError(
                f"memory_bytes must be a multiple of {PAGE_BYTES} up to {1 << 32}, "
                f"not {memory_bytes!r}"
            )
        self._library = ctypes.CDLL(str(library))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._library, f"penstock_{name}")
            function.restype = result
            function.argtypes = arguments
        self._handle: int | None = self._library.penstock_open(memory_bytes)
        if not self._handle:
            raise ModelError(f"cannot map {memory_bytes} bytes for the simulated memory")
        address = self._library.penstock_memory(self._handle)
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(
            (ctypes.c_uint8 * memory_bytes).from_address(address)
        )
        self.registers = registers
        self.resets = 0
        self.profile(PROFILE)

    def close(self) -> None:
        """Free the core and its memory, and finish its waves."""
        if self._handle:
            # The array must not outlive the mapping.
            self.memory = np.zeros(0, np.uint8)
            self._library.penstock_close(self._handle)
            self._handle = None

    def profile(self, profile: Profile) -> None:
        """Set the memory's timing and restart it, so that equal runs take equal cycles."""
        p = profile
        self._call("profile", p.latency, p.stall_per_mille, p.seed, p.jitter, p.refuse_per_mille)

    def writable(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Set the ranges the core may write: addresses of first byte and end; empty: anywhere.

        A write outside is reported as a violation.
        """
        edges = [edge for pair in ranges for edge in pair]
        self._call("writable", (_u64 * len(edges))(*edges), len(ranges))

    def fault(self, port: int, kind: Fault, beat: int = 0) -> None:
        """Plan a fault for the port with this number in `models.spec.regs.ERROR_SOURCES`.

        `beat` counts from now.  SLVERR and DECERR affect that beat only, the others all beats from
        there on.
        """
        if not 0 <= port < 4:
            raise ValueError(f"port must be from 0 to 3, not {port!r}")
        self._call("fault", port, int(kind), beat)

    def reset(self) -> None:
        """Reset the core, drop bursts and clear violations; the memory keeps its contents."""
        self.resets += 1
        self._call("reset")

    def write(self, register: str | int, value: int) -> None:
        """Write a register, by name or by offset from the first one.

        Raises
        ------
        ModelError
            If it does not answer OKAY.
        """
        address = offset(register) if isinstance(register, str) else register
        response = self._call("write", self.registers + address, value, _CSR_LIMIT)
        self._check_response("write", address, response)

    def read(self, register: str | int) -> int:
        """Read a register, by name or by offset from the first one.

        Raises
        ------
        ModelError
            If it does not answer OKAY.
        """
        address = offset(register) if isinstance(register, str) else register
        value = ctypes.c_uint32()
        at = self.registers + address
        response = self._call("read", at, ctypes.byref(value), _CSR_LIMIT)
        self._check_response("read", address, response)
        return value.value

    def run(self, cycles: int) -> int:
        """Clock until the interrupt is raised or `cycles` have passed; return the number of cycles.

        Raises
        ------
        ModelError
            If a master violated the AXI rules or wrote outside the writable ranges.
        """
        passed = int(self._call("run", cycles))
        violation = self.violation
        if violation:
            raise ModelError(f"AXI rules broken: {violation}")
        return passed

    @property
    def irq(self) -> bool:
        """Whether the interrupt is raised."""
        return bool(self._call("irq"))

    @property
    def cycles(self) -> int:
        """Cycles since the model was opened."""
        return int(self._call("cycles"))

    @property
    def quiet(self) -> int:
        """Cycles since memory last transferred a beat or acknowledged a write."""
        return self.cycles - int(self._call("moved"))

    @property
    def violation(self) -> str:
        """The first violation of the AXI rules, or an empty string."""
        return bytes(self._call("violation")).decode()

    def trace(self, path: Path | None) -> None:
        """Start writing FST waves to `path`; None stops.

        Raises
        ------
        ModelError
            If the library was built without waves or the file cannot be written.
        """
        if path is not None:
            try:
                path.write_bytes(b"")  # the writer does not report errors
            except OSError as error:
                raise ModelError(f"cannot write waves to {path}: {error.strerror}") from None
        if not self._call("trace", None if path is None else str(path).encode()):
            raise ModelError("cannot write waves: the simulation was built without waves")

    def recorded(self) -> Recording:
        """Return the recording of the run so far.

        Raises
        ------
        ModelError
            If the library was built without a recorder.
        """
        if not hasattr(self._library, "penstock_events"):
            raise ModelError("cannot record: the simulation was built without a recorder")
        return Recording(
            events=self._array("events", EVENT), samples=self._array("samples", SAMPLE)
        )

    def branches(self) -> NDArray[np.bool_]:
        """Return which branches of the core were taken, in the order of `sim.coverage.covered`.

        Elements beyond the last branch are False.

        Raises
        ------
        ModelError
            If the library was built without coverage.
        """
        if not hasattr(self._library, "penstock_branches"):
            raise ModelError("cannot tell branches: the simulation was built without coverage")
        words = self._array("branches", np.dtype("<u4"))
        return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)

    def _array(self, name: str, layout: np.dtype[Any]) -> NDArray[Any]:
        """Copy an array that the library returns as address and count."""
        function = getattr(self._library, f"penstock_{name}")
        function.restype, function.argtypes = ctypes.c_void_p, [_Handle, ctypes.POINTER(_u64)]
        count = _u64()
        address = self._call(name, ctypes.byref(count))
        if not count.value:
            return np.zeros(0, layout)
        data = ctypes.string_at(address, count.value * layout.itemsize)
        return np.frombuffer(data, layout)

    def _call(self, name: str, *arguments: object) -> Any:
        if not self._handle:
            raise ModelError("the model is closed")
        return getattr(self._library, f"penstock_{name}")(self._handle, *arguments)

    def _check_response(self, what: str, address: int, response: int) -> None:
        if response < 0:
            raise ModelError(f"register 0x{address:x}: no answer to a {what}")
        if response:
            raise ModelError(f"register 0x{address:x}: response {response} to a {what}")
