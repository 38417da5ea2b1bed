"""Errors of bitstream builds."""

from __future__ import annotations

__all__ = ["BuildError", "CheckError", "ToolsMissing"]


class BuildError(RuntimeError):
    """A step failed; the message names it and the remedy."""


class CheckError(BuildError):
    """A check of the netlist or of the finished bitstream failed."""


class ToolsMissing(BuildError):
    """Programs or data that the board's tool chain needs are not installed."""
