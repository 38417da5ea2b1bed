"""Errors of bitstream builds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BuildError", "CheckError", "ToolsMissing", "read_back"]


class BuildError(RuntimeError):
    """A step failed; the message names it and the remedy."""


class CheckError(BuildError):
    """A check of the netlist or of the finished bitstream failed."""


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
