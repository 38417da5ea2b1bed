"""The `tang-nano-20k` device: a Tang Nano 20K board on a serial port."""

from __future__ import annotations

from typing import Any

from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.models.spec.arch import Arch
from penstock.models.spec.link_rates import LINK_BAUD

__all__ = ["BAUD", "TangNanoDevice", "create"]

BAUD = LINK_BAUD["tang-nano-20k"]


class TangNanoDevice(LinkedDevice):
    """A Tang Nano 20K; the parameters are those of `LinkedDevice`."""

    name = "tang-nano-20k"

    def __init__(self, arch: Arch, *, baud: int = BAUD, **options: Any) -> None:
        super().__init__(arch, baud=baud, **options)


def create(arch: Arch, **options: Any) -> TangNanoDevice:
    """Open the device; see `LinkedDevice` for the options."""
    return TangNanoDevice(arch, **options)
