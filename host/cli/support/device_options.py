"""Devices and arches by name, for the commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.host.apps.open_device import device_names, full_name, open_device
from penstock.host.cli.support.exit_status import InputError, bad_input, one_line
from penstock.host.cli.support.progress import task
from penstock.host.devices.device import Device
from penstock.host.devices.serial.serial_board import SERIAL_DEVICES
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch

__all__ = [
    "arch_for",
    "check_device",
    "default_arch",
    "open_for",
    "say_verified",
]

# Devices with a simulator, and devices that load a bitstream.
_BUILT = ("rtl", "pynq-sim")
_LOADED = ("pynq", "pynq-sim")


def check_device(name: str) -> None:
    """Refuse an unknown device.

    Raises
    ------
    InputError
        The message lists those there are.
    """
    if full_name(name) not in device_names():
        raise InputError(f"device must be one of {', '.join(device_names())}, not {name!r}")


def arch_for(name: str) -> Arch:
    """Return the arch called `name`, or in the file `name`.

    Raises
    ------
    InputError
        If there is none, or the hardware cannot have that size.
    """
    try:
        with bad_input():
            return find_arch(name)
    except InputError as error:
        prefix = "" if name in str(error) else f"arch {name}: "
        raise InputError(f"{prefix}{one_line(error)}") from None


def default_arch(device: str) -> str:
    """Name of the default arch of `device`."""
    return "pynq-z2" if device in _LOADED else SERIAL_DEVICES.get(full_name(device)) or "lab"


def open_for(
    name: str,
    arch: Arch,
    overlay: Path | None = None,
    *,
    port: str | None = None,
    record: bool = False,
    verify: bool = False,
) -> Device:
    """Open the device called `name`; the simulator is built if it is not in the cache.

    Parameters
    ----------
    name : str
    arch : Arch
    overlay : Path or None
        The bitstream to load, for devices that do.
    port : str or None
        The serial port, for boards on one.
    record : bool
        Whether the logs of its runs include recordings; `rtl` only.
    verify : bool
        Whether uploads are read back and compared.

    Raises
    ------
    InputError
        If there is no such device, it takes no bitstream or no port, or needs a port.
    DeviceError
        If the device cannot be opened, or the simulator not be built.
    """
    check_device(name)
    options: dict[str, Any] = {}
    if record:
        options["record"] = True
    if overlay is not None:
        if name not in _LOADED:
            raise InputError(f"--overlay is for {' and '.join(_LOADED)}, not for {name}")
        options["bitstream"] = overlay
    if full_name(name) in SERIAL_DEVICES:
        if port is None:
            raise InputError(f"the {name} device needs a port: --port /dev/ttyUSB0")
        options["port"] = port
    elif port is not None:
        raise InputError(f"--port is for {' and '.join(SERIAL_DEVICES)}, not for {name}")
    device: Device
    if name in _BUILT:
        with task("building the simulator") as progress:
            device = open_device(name, arch, progress=progress.say, **options)
    elif name in _LOADED:
        with task("loading the overlay"):
            device = open_device(name, arch, **options)
    else:
        device = open_device(name, arch, **options)
    device.verify = verify
    return device


def say_verified(devices: Sequence[Device]) -> None:
    """Print the number of bytes uploaded and read back, if verification is on."""
    if any(device.verify for device in devices):
        uploaded = sum(device.uploaded for device in devices)
        verified = sum(device.verified for device in devices)
        print(f"verified: {verified} of {uploaded} bytes uploaded were read back, all equal")
