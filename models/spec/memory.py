"""Units of device memory: beats and pages."""

from __future__ import annotations

__all__ = ["BEAT_BYTES", "PAGE_BYTES"]

# Bytes of one transfer on the memory buses; every row of a feature map starts on a beat.
BEAT_BYTES = 8

# Buffers start on a multiple of this: no AXI burst crosses such a boundary, and it is the page size
# of the operating systems that allocate them.
PAGE_BYTES = 4096
