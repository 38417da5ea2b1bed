"""The `ulx3s` device: a ULX3S board on a serial port."""

from __future__ import annotations

from typing import Any

from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.models.spec.arch import Arch
from penstock.models.spec.link_rates import LINK_BAUD

__all__ = ["BAUD", "Ulx3sDevice", "create"]

BAUD = LINK_BAUD["ulx3s-85f"]


class Ulx3sDevice(LinkedDevice):
    """A ULX3S; the parameters are those of `LinkedDevice`."""

    name = "ulx3s"

    def __init__(self, arch: Arch, *, baud: int = BAUD, **options: Any) -> None:
        super().__init__(arch, baud=baud, **options)


def create(arch: Arch, **options: Any) -> Ulx3sDevice:
    """Open the device; see `LinkedDevice` for the options."""
    return Ulx3sDevice(arch, **options)
