"""`simulate`: one layer of AlexNet, scaled down, in cocotb against the golden model."""

from __future__ import annotations

__all__ = ["simulate"]


def simulate(layer: str) -> None:
    """x"""
