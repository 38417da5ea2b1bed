"""Opening a device for a command, with whatever has to be built first."""

from __future__ import annotations

from host.cli_errors import InputError, WorkError, one_line
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


def open_for(name: str, arch: Arch) -> Device:
    """Open the device called `name`; build the simulator if it is not there yet.

    Raises
    ------
    InputError
        If there is no such device.
    WorkError
        If the simulator cannot be built.
    DeviceError
        If the device cannot be opened.
    """
    check_device(name)
    if name != "rtl":
        return open_device(name, arch)
    try:
        # The simulation is not part of what runs on a board.
        from sim.build import library
        from sim.toolchain import ToolError
    except ModuleNotFoundError as error:
        raise WorkError(
            f"the package {error.name} is missing: pip install 'penstock[sim]'"
        ) from None
    with task("building the simulator") as progress:
        try:
            built = library(arch, progress=progress.say)
        except ToolError as error:
            raise WorkError(one_line(error)) from None
    return open_device(name, arch, library=built)
