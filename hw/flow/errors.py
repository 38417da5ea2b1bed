"""Why a bitstream could not be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BuildError", "CheckError", "ToolsMissing", "read_back"]


class BuildError(RuntimeError):
    """A step failed; the message says which, and what to do about it."""


class CheckError(BuildError):
    """What was made is not what was asked for: the netlist, or the finished bitstream."""


class ToolsMissing(BuildError):
    """Programs or data that the board's tool chain needs are not installed."""


@contextmanager
def read_back() -> Iterator[None]:
    """Compare a finished bitstream with what was asked for: a ValueError says where it differs.

    Raises
    ------
    CheckError
        For the ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise CheckError(f"the finished bitstream: {error}") from None
