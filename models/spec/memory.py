"""What device memory is counted in: beats and pages."""

from __future__ import annotations

__all__ = ["BEAT_BYTES", "PAGE_BYTES"]

# One transfer on the memory buses; every row of a feature map starts on one.
BEAT_BYTES = 8

# Buffers start on a multiple of it: the boundary that no AXI burst crosses, and a page of the
# operating systems that hand memory out.
PAGE_BYTES = 4096
