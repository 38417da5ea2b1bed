"""Self-test of a device in three steps: registers, memory, one layer of each kind.

Each step relies on the previous ones, so the first failure shows where to look.  The layers are
those of AlexNet scaled down, compiled for the device's arch, and run twice against the golden
model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from penstock.host.apps.layer_check import LayerCase, LayerWrong
from penstock.host.devices.csr import Csr
from penstock.host.devices.device import Device, DeviceError
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.regs import REGISTERS

__all__ = ["Step", "selftest"]

_PATTERNS = (0xFFFFFFFF, 0xA5A5A5A5, 0x5A5A5A5A, 0x00000000)
# Writable registers without side effects.
_SCRATCH = ("BASE", "DESC_COUNT", "WATCHDOG")
_MEMORY_BYTES = 1 << 20


@dataclass(frozen=True)
class Step:
    """One step and its result.

    Parameters
    ----------
    name : str
    detail : str
        One line: what was checked, or the error.
    passed : bool
    """

    name: str
    detail: str
    passed: bool


class _Wrong(Exception):
    """Error found by a step."""


def _identity(device: Device, csr: Csr) -> str:
    wrong = csr.identity_error(device.arch)
    if wrong is not None:
        raise _Wrong(f"the core {wrong}")
    return f"the core is of arch {device.arch}"


def _registers(device: Device, csr: Csr) -> str:
    if not csr.idle:
        raise _Wrong(f"the core is busy: STATUS {csr.read('STATUS'):#x}")
    readable = [register.name for register in REGISTERS if register.access != "wo"]
    first = {name: csr.read(name) for name in readable}
    for name in readable:
        again = csr.read(name)
        if again != first[name]:
            raise _Wrong(f"{name} reads {first[name]:#x}, then {again:#x}, and nothing runs")
    for name in _SCRATCH:
        for pattern in _PATTERNS:
            csr.write(name, pattern)
            # Another access in between, so that the value is not just still on the bus.
            csr.read("ID")
            got = csr.read(name)
            if got != pattern:
                raise _Wrong(f"{name} reads {got:#010x} after {pattern:#010x} was written")
    return f"{len(readable)} registers read twice, {len(_SCRATCH)} written with patterns"


def _memory(device: Device, csr: Csr) -> str:
    data = np.random.default_rng(1).integers(0, 256, _MEMORY_BYTES, np.uint8)
    buffer = device.alloc(_MEMORY_BYTES)
    try:
        device.write(buffer, data)
        got = device.read(buffer, 0, _MEMORY_BYTES)
    finally:
        device.free(buffer)
    wrong = np.flatnonzero(got != data)
    if len(wrong):
        where = int(wrong[0])
        raise _Wrong(
            f"{len(wrong)} of {_MEMORY_BYTES} bytes differ, the first at {where:#x}: "
            f"{got[where]:#04x} instead of {data[where]:#04x}"
        )
    return f"{_MEMORY_BYTES} bytes written and read"


def _layer(name: str) -> Callable[[Device, Csr], str]:
    def run(device: Device, csr: Csr) -> str:
        case = LayerCase.make(name, device.arch, seed=2)
        try:
            outcome = case.run(device, times=2)
        except LayerWrong as error:
            raise _Wrong(str(error)) from None
        what = " and ".join(type(layer).__name__ for layer in case.network.layers)
        cycles = device.counters()["cycles"]
        return f"{what}: {outcome.values} values equal the golden model's, twice, {cycles} cycles"

    return run


_STEPS: tuple[tuple[str, Callable[[Device, Csr], str]], ...] = (
    ("identity", _identity),
    ("registers", _registers),
    ("memory", _memory),
    *((f"{name} scaled down", _layer(name)) for name in SCALED_LAYERS),
)


def selftest(device: Device) -> Iterator[Step]:
    """Test a device and yield each completed step; the first failure is the last step.

    Raises
    ------
    ValueError
        If the device has no registers.
    """
    csr = device.csr
    if csr is None:
        raise ValueError(f"the device {device.name} has no registers to test")
    for name, step in _STEPS:
        try:
            yield Step(name, step(device, csr), True)
        except (_Wrong, DeviceError) as error:
            yield Step(name, str(error), False)
            return
