"""Devices by name: which back ends there are, and how one is opened."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from penstock.host.devices.device import Device
from penstock.models.spec.arch import Arch

__all__ = ["DEVICES", "device_names", "open_device"]

# Imported when they are asked for: a board has no simulator, other computers have no pynq.
_BACK_ENDS = {
    "functional": "penstock.host.devices.functional",
    "pynq": "penstock.host.devices.pynq.pynq_device",
    "pynq-sim": "penstock.host.devices.pynq.pynq_sim",
    "rtl": "penstock.host.devices.rtl",
    "tang-nano-20k": "penstock.host.devices.serial.tang_nano_20k",
    "ulx3s": "penstock.host.devices.serial.ulx3s",
}

# Names that `open_device` takes.
DEVICES = tuple(_BACK_ENDS)


def device_names() -> tuple[str, ...]:
    """Names that `open_device` takes."""
    return DEVICES


# Those with a simulator, which may have to be built.
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
    if name not in _BACK_ENDS:
        raise ValueError(f"device must be one of {', '.join(_BACK_ENDS)}, not {name!r}")
    if progress is not None and name in _BUILT:
        options = {"progress": progress, **options}
    if name == "rtl":
        from penstock.host.apps.training import exercise

        options = {"train": exercise, **options}
    module = importlib.import_module(_BACK_ENDS[name])
    device: Device = module.create(arch, **options)
    return device
