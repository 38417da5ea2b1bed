"""The `rtl` device: the accelerator's Verilog, simulated cycle by cycle in this process.

The simulation library is built by `sim.library.build.library`.  Who has built it already passes its
path.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.arena_device import ArenaDevice
from penstock.host.devices.csr import Csr
from penstock.host.devices.csr_device import CsrDevice
from penstock.host.devices.device import Buffer, Data, Device, DeviceError, RunLog
from penstock.host.devices.rtl_model import PROFILE, Fault, Model, ModelError, Profile
from penstock.host.devices.sim_library import simulation_library
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["RtlDevice", "create"]

DEFAULT_MEMORY = 256 << 20
DEFAULT_WATCHDOG = 100_000

# Cycles between two looks at the clock on the wall and at what others want.
_CHUNK = 100_000

# Multipliers of the smallest array whose simulation is trained.
_TRAINED = 64

# Cycles that outstanding bursts get to end after a soft reset.
_RESET_LIMIT = 20_000


class RtlDevice(ArenaDevice, CsrDevice):
    """A device in simulated hardware.

    Parameters
    ----------
    arch : Arch
    library : Path or None
        The simulation library of `arch`; None: build it, or take it from the cache.
    memory_bytes : int
        Size of device memory.
    watchdog : int
        Cycles without progress after which a run is given up; 0: never.
    profile : Profile
        Behaviour of the memory.  It restarts with every run: equal runs take equal cycles.
    waves : Path or None
        Where to write FST waves of everything the device does.
    record : bool
        Whether the logs of runs have recordings; that takes a library built for it.
    registers : int
        Address of the first register.
    train : callable or None
        Runs something typical on a device; a library that is built here is optimised for it.
    progress : callable or None
        Called with what happens now while the library is built.

    Raises
    ------
    DeviceError
        If the library cannot be built, or is not the one for `arch`.
    """

    name = "rtl"
    counts_cycles = True
    FAULTS = (ModelError,)

    def __init__(
        self,
        arch: Arch,
        *,
        library: Path | None = None,
        memory_bytes: int = DEFAULT_MEMORY,
        watchdog: int = DEFAULT_WATCHDOG,
        profile: Profile = PROFILE,
        waves: Path | None = None,
        record: bool = False,
        registers: int = 0,
        train: Callable[[Device], None] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(arch, watchdog=watchdog)
        self.profile = profile
        self.record = record
        if library is None:
            # What is fast to compile, or seldom used, is not worth the time.
            worth = arch.macs_per_cycle >= _TRAINED and waves is None and not record
            library = simulation_library(
                arch,
                waves=waves is not None,
                record=record,
                train=None if train is None or not worth else partial(_train, arch, train),
                progress=progress,
            )
        self._library = library
        self._waves = waves
        self.own(memory_bytes)
        try:
            self._model = Model(library, memory_bytes=memory_bytes, registers=registers)
        except (OSError, ModelError) as error:
            raise DeviceError(f"cannot open the simulation: {error}") from None
        self.csr = Csr(self._model.read, self._model.write)
        try:
            wrong = self.csr.identity_error(arch)
            if wrong is not None:
                raise DeviceError(f"the simulation {wrong}")
            if waves is not None:
                self._model.trace(waves)
        except (DeviceError, ModelError) as error:
            self._model.close()
            raise DeviceError(str(error)) from None

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The memory itself, uint8 (memory_bytes,); to test with."""
        return self._memory()

    @property
    def model(self) -> Model:
        """The simulated core; to test with."""
        return self._model

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        values = np.frombuffer(data, np.uint8)
        self.check_range(buffer, offset, len(values))
        start = buffer.offset + offset
        self._memory()[start : start + len(values)] = values

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self.check_range(buffer, offset, size)
        start = buffer.offset + offset
        return self._memory()[start : start + size].copy()

    def start(self, program: Program, buffer: Buffer) -> None:
        """Begin a run, which goes on while the model is clocked: what `run` does first.

        From here on memory lets the core write only what the program writes.
        """
        base = buffer.offset
        self._model.profile(self.profile)
        self._model.writable([(base + low, base + end) for low, end in program.traffic.written])
        super().start(program, buffer)

    def _wait(self, program: Program, begin: float, timeout: float) -> None:
        passed = 0
        while not self._model.irq:
            passed += self._model.run(_CHUNK)
            if self.heard is not None:
                self.heard(passed)
            if self.stop.is_set():
                raise DeviceError("stopped")
            if time.monotonic() - begin > timeout and not self._model.irq:
                raise DeviceError(f"no end after {timeout:g} s: {self.diagnosis(program)}")

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        """Run `program`, whose image and input are in `buffer`, to its end.

        After an error, the device is ready for the next run.
        """
        log = super().run(program, buffer, timeout=timeout)
        if self.record:
            try:
                log.recording = self._model.recorded()
            except ModelError as error:
                raise DeviceError(str(error)) from None
        return log

    def another(self) -> RtlDevice | None:
        """Open one more, with the same options; None if this one writes waves."""
        if self._waves is not None:
            return None
        return RtlDevice(
            self.arch,
            library=self._library,
            memory_bytes=len(self._memory()),
            watchdog=self.watchdog,
            profile=self.profile,
            record=self.record,
        )

    def close(self) -> None:
        self._model.close()

    def plan_fault(self, port: str, kind: Fault, beat: int = 0) -> None:
        """Let the memory fail in the next run, at this beat of a port; to test with.

        Parameters
        ----------
        port : str
            One of `models.spec.regs.ERROR_SOURCES`.
        kind : Fault
        beat : int
            Counted from the start of the run.
        """
        if port not in ERROR_SOURCES:
            raise ValueError(f"port must be one of {', '.join(ERROR_SOURCES)}, not {port!r}")
        self._model.fault(ERROR_SOURCES.index(port), kind, beat)

    def _memory(self) -> NDArray[np.uint8]:
        if not len(self._model.memory):
            raise DeviceError("the device is closed")
        return self._model.memory

    def _recover(self) -> None:
        """Make the core idle: let outstanding bursts end, or reset everything if they do not."""
        model = self._model
        try:
            self.csr.begin_reset()
            for _ in range(_RESET_LIMIT // 100):
                if self.csr.idle:
                    break
                model.run(100)
            else:
                model.reset()
            if model.violation:
                model.reset()  # which forgets it
        except ModelError:
            model.reset()
        for port in range(len(ERROR_SOURCES)):
            model.fault(port, Fault.NONE)


def _train(arch: Arch, train: Callable[[Device], None], library: Path) -> None:
    """Let a library do what is typical."""
    with RtlDevice(arch, library=library) as device:
        train(device)


def create(arch: Arch, **options: Any) -> RtlDevice:
    """Open the device; see `RtlDevice` for the options."""
    return RtlDevice(arch, **options)
