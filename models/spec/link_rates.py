"""Baud rates of the boards' serial links: the board's hardware and the host must agree on them."""

from __future__ import annotations

__all__ = ["LINK_BAUD"]

# Bits a second on the wire, by board.  The board's clock must be a multiple of it.
LINK_BAUD = {
    "ulx3s-85f": 3_000_000,  # the fastest that the board's FT231X does
    "tang-nano-20k": 1_000_000,
}
