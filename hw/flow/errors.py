"""Why a bitstream could not be made."""

from __future__ import annotations

__all__ = ["BuildError", "CheckError", "ToolsMissing"]


class BuildError(RuntimeError):
    """A step failed; the message says which, and what to do about it."""


class CheckError(BuildError):
    """A check of the netlist or of the finished bitstream failed."""


class ToolsMissing(BuildError):
    """Programs or data that the board's tool chain needs are not installed."""
