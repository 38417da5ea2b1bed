"""The `rtl` device: the accelerator's Verilog, simulated cycle by cycle in this process.

The simulation library is built by `sim.library.build.library`, unless its path is given.
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
from penstock.host.devices.device import Buffer, Device, DeviceError, RunLog
from penstock.host.devices.direct_memory import DirectMemory
from penstock.host.devices.rtl_model import PROFILE, Fault, Model, ModelError, Profile
from penstock.host.devices.sim_library import simulation_library
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["RtlDevice", "create"]

DEFAULT_MEMORY = 256 << 20
DEFAULT_WATCHDOG = 100_000

# Cycles between two checks of wall time and of `stop`.
_CHUNK = 100_000

# Multipliers of the smallest array whose simulation is built with a profile.
_TRAINED = 64

# Cycles within which outstanding bursts must end after a soft reset.
_RESET_LIMIT = 20_000


class RtlDevice(DirectMemory, ArenaDevice, CsrDevice):
    """A device in simulated hardware.

    Parameters
    ----------
    arch : Arch
    library : Path or None
        The simulation library of `arch`; None: build it, or take it from the cache.
    memory_bytes : int
        Size of device memory.
    watchdog : int
        Cycles without progress after which a run fails; 0: never.
    profile : Profile
        Timing of the memory.  It restarts with every run, so equal runs take equal cycles.
    waves : Path or None
        File for FST waves of the whole session.
    record : bool
        Whether run logs have recordings; the library must be built with a recorder.
    registers : int
        Address of the first register.
    train : callable or None
        Runs a typical workload on a device; a library built here is optimised with its profile.
    progress : callable or None
        Called with a description of each build step.

    Raises
    ------
    DeviceError
        If the library cannot be built or is for another arch.
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
            # Small arrays and rarely used variants are not worth the profiling time.
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
        if not len(self._model.memory):
            raise DeviceError("the device is closed")
        return self._model.memory

    @property
    def model(self) -> Model:
        """The simulated core; for tests."""
        return self._model

    def start(self, program: Program, buffer: Buffer) -> None:
        """Start a run, which proceeds while the model is clocked; the first step of `run`.

        From here on memory accepts writes only to the ranges that the program writes.
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
        """Open another device with the same options; None if this one writes waves."""
        if self._waves is not None:
            return None
        return RtlDevice(
            self.arch,
            library=self._library,
            memory_bytes=len(self.memory),
            watchdog=self.watchdog,
            profile=self.profile,
            record=self.record,
        )

    def close(self) -> None:
        self._model.close()

    def plan_fault(self, port: str, kind: Fault, beat: int = 0) -> None:
        """Make the memory fail in the next run, at a beat of a port; for tests.

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

    def _recover(self) -> None:
        """Make the core idle: let outstanding bursts end, or reset all if they do not."""
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
                model.reset()  # which drops outstanding bursts
        except ModelError:
            model.reset()
        for port in range(len(ERROR_SOURCES)):
            model.fault(port, Fault.NONE)


def _train(arch: Arch, train: Callable[[Device], None], library: Path) -> None:
    """Run the training workload on a library."""
    with RtlDevice(arch, library=library) as device:
        train(device)


def create(arch: Arch, **options: Any) -> RtlDevice:
    """Open the device; see `RtlDevice` for the options."""
    return RtlDevice(arch, **options)
