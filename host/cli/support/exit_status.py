"""Failures of the command line: one line on standard error, and an exit status.

===  =============================================
0    done
1    the work failed: a mismatch, a device, a tool
2    bad usage or bad input
130  interrupted, by Ctrl-C or SIGTERM
===  =============================================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "InputError",
    "WorkError",
    "bad_input",
    "one_line",
]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class InputError(Exception):
    """Bad usage or bad input: exit status 2."""


class WorkError(Exception):
    """The work failed: exit status 1."""


@contextmanager
def bad_input() -> Iterator[None]:
    """Convert the libraries' exceptions about their input to `InputError`.

    Only for code that reads or checks the user's input: elsewhere a ValueError is an internal error
    and must not be reported as bad input.
    """
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise InputError(f"{where}{(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise InputError(one_line(error)) from None


def one_line(error: BaseException) -> str:
    """Return the message of an exception without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
