"""The `functional` device: executes a program's descriptors in NumPy, one after the other.

It decodes the real descriptor bytes in its memory and executes them as `models.spec.isa` specifies,
so it tests the compiler as well as the arithmetic.  It has no counters.  Descriptors run in program
order, which every program allows; a wait for a later descriptor is an error.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.arena_device import ArenaDevice
from penstock.host.devices.device import Buffer, DeviceError, RunLog
from penstock.host.devices.direct_memory import DirectMemory
from penstock.host.devices.functional_engines import Engines
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, ENGINE_WAITS, Op, decode
from penstock.models.spec.memory import PAGE_BYTES
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["FunctionalDevice", "create"]

DEFAULT_MEMORY = 256 << 20


class FunctionalDevice(DirectMemory, ArenaDevice):
    """A device in NumPy.

    Parameters
    ----------
    arch : Arch
    memory_bytes : int
        Size of device memory.
    poison : int or None
        Seed of random bytes that fill the on-chip buffers before every run; None: they keep their
        contents, initially zeros.
    """

    name = "functional"

    def __init__(
        self, arch: Arch, *, memory_bytes: int = DEFAULT_MEMORY, poison: int | None = None
    ) -> None:
        super().__init__(arch)
        if memory_bytes < PAGE_BYTES:
            raise ValueError(f"memory_bytes must be at least {PAGE_BYTES}, not {memory_bytes!r}")
        self._memory = np.zeros(memory_bytes, np.uint8)
        self.own(memory_bytes)
        self._engines = Engines(arch, self.memory)
        self._poison = poison
        self._random = None if poison is None else np.random.default_rng(poison)

    @property
    def memory(self) -> NDArray[np.uint8]:
        return self._memory

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        self.check_program(program, buffer)
        begin = time.monotonic()
        self._engines.start(buffer.offset, buffer.size, self._random)
        done = dict.fromkeys(Op, 0)
        entries = 0
        start = buffer.offset + program.desc_offset
        for index in range(program.desc_count):
            if time.monotonic() - begin > timeout:
                raise DeviceError(
                    f"no end after {timeout:g} s: {index} of {program.desc_count} descriptors done"
                )
            if self.stop.is_set():
                raise DeviceError(f"stopped: {index} of {program.desc_count} descriptors done")
            where = start + index * DESCRIPTOR_BYTES
            data = self.memory[where : where + DESCRIPTOR_BYTES].tobytes()
            try:
                op, values = decode(data)
            except ValueError as error:
                raise DeviceError(f"descriptor {index}: {error}") from None
            for engine in ENGINE_WAITS[op]:
                wait = values[f"wait_{engine.name.lower()}"]
                if (done[engine] - wait) & 0x8000:
                    raise DeviceError(
                        f"descriptor {index}: {op.name} waits for {wait} {engine.name}, "
                        f"{done[engine]} come before it"
                    )
            try:
                self._engines.execute(op, values)
            except ValueError as error:
                raise DeviceError(f"descriptor {index}: {op.name}: {error}") from None
            done[op] += 1
            if self.heard is not None:
                self.heard(index + 1)
            entries += op is Op.POST and values["mark"]
        try:
            self._engines.finish()
        except ValueError as error:
            raise DeviceError(str(error)) from None
        seconds = time.monotonic() - begin
        return RunLog([self.counters() for _ in range(entries)], self.counters(), seconds)

    def counters(self) -> dict[str, int]:
        """Return the counters of `models.spec.regs.LOG_FIELDS`: all 0, since nothing is counted."""
        return {name: 0 for name, _ in LOG_FIELDS}

    def another(self) -> FunctionalDevice:
        return FunctionalDevice(self.arch, memory_bytes=len(self.memory), poison=self._poison)

    def close(self) -> None:
        self._memory = np.zeros(0, np.uint8)


def create(
    arch: Arch, *, memory_bytes: int = DEFAULT_MEMORY, poison: int | None = None
) -> FunctionalDevice:
    """Open the device; the options are those of `FunctionalDevice`."""
    return FunctionalDevice(arch, memory_bytes=memory_bytes, poison=poison)
