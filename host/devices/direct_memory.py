"""A device whose memory is an array of this process: simulations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import Buffer, Data, Device

__all__ = ["DirectMemory"]


class DirectMemory(Device):
    """What `write` and `read` are where memory itself is at hand."""

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The memory itself, uint8 (memory_bytes,)."""
        raise NotImplementedError

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        values = np.frombuffer(data, np.uint8)
        self.check_range(buffer, offset, len(values))
        start = buffer.offset + offset
        self.memory[start : start + len(values)] = values

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self.check_range(buffer, offset, size)
        start = buffer.offset + offset
        return self.memory[start : start + size].copy()
