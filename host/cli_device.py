"""Devices and arches by name, for the commands."""

from __future__ import annotations

from host.cli_errors import InputError, one_line
from host.cli_progress import task
from host.device import Device, device_names, open_device
from models.arch import Arch, get_arch

__all__ = ["arch_for", "check_device", "open_for"]


def check_device(name: str) -> None:
    """Refuse a name that is not a device's.

    Raises
    ------
    InputError
        The message lists those there are.
    """
    if name not in device_names():
        raise InputError(f"device must be one of {', '.join(device_names())}, not {name!r}")


def arch_for(name: str) -> Arch:
    """Return the arch called `name`.

    Raises
    ------
    InputError
        If there is none, or the hardware cannot have that size.
    """
    try:
        return get_arch(name)
    except ValueError as error:
        prefix = "" if repr(name) in str(error) else f"arch {name}: "
        raise InputError(f"{prefix}{one_line(error)}") from None


def open_for(name: str, arch: Arch, *, record: bool = False) -> Device:
    """Open the device called `name`; the simulator is built if it is not in the cache.

    Parameters
    ----------
    name : str
    arch : Arch
    record : bool
        Whether the logs of its runs have recordings; only `rtl` can.

    Raises
    ------
    InputError
        If there is no such device.
    DeviceError
        If the device cannot be opened, or the simulator not be built.
    """
    check_device(name)
    if name != "rtl":
        return open_device(name, arch)
    with task("building the simulator") as progress:
        return open_device(name, arch, record=record, progress=progress.say)
