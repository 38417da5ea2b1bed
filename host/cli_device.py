"""Devices and arches by name, for the commands."""

from __future__ import annotations

from contextlib import ExitStack

from host.cli_errors import InputError, one_line
from host.cli_progress import task
from host.device import Device, device_names, open_device
from host.parallel import cores
from models.arch import Arch, get_arch

__all__ = ["arch_for", "check_device", "open_for", "open_several"]


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


def open_several(
    stack: ExitStack, name: str, arch: Arch, *, jobs: int | None, runs: int, record: bool = False
) -> list[Device]:
    """Open as many devices called `name` as `runs` runs can use.

    Parameters
    ----------
    stack : ExitStack
        Closes them.
    jobs : int or None
        Devices at the most; None: as many as there are processors, and as this kind allows.
    name, arch, record
        As in `open_for`.

    Raises
    ------
    InputError
        If there is no such device, or not `jobs` of it.
    DeviceError
        If a device cannot be opened, or the simulator not be built.
    """
    devices = [stack.enter_context(open_for(name, arch, record=record))]
    while len(devices) < min(cores() if jobs is None else jobs, runs):
        device = devices[0].another()
        if device is None:
            if jobs is None:
                break
            raise InputError(f"--jobs {jobs}: there is only one device {name}")
        devices.append(stack.enter_context(device))
    return devices
