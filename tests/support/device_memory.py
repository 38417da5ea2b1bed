"""Memory of a device: what every back end promises."""

from __future__ import annotations

import pytest

from penstock.host.devices.device import Buffer, Device, DeviceError

__all__ = ["check_memory"]


def check_memory(device: Device) -> None:
    """Check that a buffer begins a page, keeps its bytes and refuses accesses outside."""
    buffer = device.alloc(100)
    assert buffer.offset % 4096 == 0
    device.write(buffer, b"abc", 97)
    assert bytes(device.read(buffer, 97, 3)) == b"abc"
    for call in (
        lambda: device.write(buffer, b"abcd", 97),
        lambda: device.read(buffer, 98, 3),
        lambda: device.read(buffer, -1, 1),
    ):
        with pytest.raises(DeviceError, match="outside a buffer of 100 bytes"):
            call()
    with pytest.raises(DeviceError, match="no buffer at 4097 to free"):
        device.free(Buffer(4097, 1))
