"""Devices by name: the back ends, and a function to open one."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from penstock.host.devices.device import Device
from penstock.host.devices.serial.serial_board import SERIAL_DEVICES
from penstock.models.spec.arch import Arch

__all__ = ["DEVICES", "device_names", "full_name", "open_device"]

# Imported on demand: a board has no simulator, other computers have no pynq.
_BACK_ENDS = {
    "functional": "penstock.host.devices.functional",
    "pynq": "penstock.host.devices.pynq.pynq_device",
    "pynq-sim": "penstock.host.devices.pynq.pynq_sim",
    "rtl": "penstock.host.devices.rtl",
    **dict.fromkeys(SERIAL_DEVICES, "penstock.host.devices.serial.serial_board"),
}

# Former names of devices.
_FORMER = {"ulx3s": "ulx3s-85f"}
# Names that `open_device` takes.
DEVICES = tuple(_BACK_ENDS)


def device_names() -> tuple[str, ...]:
    """Names that `open_device` takes."""
    return DEVICES


def full_name(name: str) -> str:
    """Return the current name of a device, or `name` itself."""
    return _FORMER.get(name, name)


# Devices with a simulator, which may have to be built.
_BUILT = ("rtl", "pynq-sim")


def open_device(
    name: str,
    arch: Arch,
    *,
    progress: Callable[[str], None] | None = None,
    **options: object,
) -> Device:
    """Open the back end called `name`.

    Parameters
    ----------
    progress : callable or None
        Called with what happens now while a simulator is built; other back ends never call it.
    options
        Passed on; what there is depends on the back end.

    Raises
    ------
    ValueError
        If there is no such back end.
    DeviceError
        If it cannot be opened.
    """
    name = full_name(name)
    if name not in _BACK_ENDS:
        raise ValueError(f"device must be one of {', '.join(_BACK_ENDS)}, not {name!r}")
    if progress is not None and name in _BUILT:
        options = {"progress": progress, **options}
    if name == "rtl":
        from penstock.host.apps.training import exercise

        options = {"train": exercise, **options}
    if name in SERIAL_DEVICES:
        options = {"board": name, **options}
    module = importlib.import_module(_BACK_ENDS[name])
    device: Device = module.create(arch, **options)
    return device
