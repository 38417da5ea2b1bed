"""Devices by name: which back ends there are, and how one is opened."""

from __future__ import annotations

import importlib

from penstock.host.devices.device import Device
from penstock.models.spec.arch import Arch

__all__ = ["device_names", "open_device"]

# Imported when they are asked for: a board has no simulator, other computers have no pynq.
_BACK_ENDS = {
    "functional": "penstock.host.devices.functional",
    "pynq": "penstock.host.devices.pynq.pynq_device",
    "pynq-sim": "penstock.host.devices.pynq.pynq_sim",
    "rtl": "penstock.host.devices.rtl",
    "tang-nano-20k": "penstock.host.devices.serial.tang_nano_20k",
    "ulx3s": "penstock.host.devices.serial.ulx3s",
}


def device_names() -> tuple[str, ...]:
    """Names that `open_device` takes."""
    return tuple(_BACK_ENDS)


def open_device(name: str, arch: Arch, **options: object) -> Device:
    """Open the back end called `name`.

    Parameters
    ----------
    options
        Passed on; what there is depends on the back end.

    Raises
    ------
    ValueError
        If there is no such back end.
    DeviceError
        If it cannot be opened.
    """
    if name not in _BACK_ENDS:
        raise ValueError(f"device must be one of {', '.join(_BACK_ENDS)}, not {name!r}")
    if name == "rtl":
        from penstock.host.apps.training import exercise

        options = {"train": exercise, **options}
    module = importlib.import_module(_BACK_ENDS[name])
    device: Device = module.create(arch, **options)
    return device
