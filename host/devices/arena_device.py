"""A device whose memory is one piece that the host hands out from."""

from __future__ import annotations

from penstock.host.devices.device import Buffer, Device, DeviceError, DeviceFull
from penstock.host.program.allocator import Arena
from penstock.models.spec.memory import PAGE_BYTES

__all__ = ["ArenaDevice"]


class ArenaDevice(Device):
    """`alloc` and `free` for devices whose memory the host manages.

    Its constructor calls `own` once the size of the memory is known.
    """

    _arena: Arena

    def own(self, memory_bytes: int) -> None:
        """Hand out `memory_bytes` bytes from address 0 on."""
        self._arena = Arena(memory_bytes, alignment=PAGE_BYTES)

    def alloc(self, size: int) -> Buffer:
        offset = self._arena.alloc(size)
        if offset is None:
            raise DeviceFull(f"no {size} bytes of device memory left in one piece")
        return Buffer(offset, size)

    def free(self, buffer: Buffer) -> None:
        try:
            self._arena.free(buffer.offset)
        except KeyError:
            raise DeviceError(f"no buffer at {buffer.offset} to free") from None
