"""Ctrl-C and SIGTERM: both end a command in the same way, whatever it is doing."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["asked_to_end", "end_on_signals", "ignore_signals", "terminable"]

# Seconds until an interrupt that was lost is raised again.
_AGAIN = 0.3

_asked = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt until it is being handled.

    An exception raised by a handler is lost if it hits a destructor or a callback, or if the code
    around it converts it, as modules of extension code may during their import.
    """
    global _asked
    _asked = True
    # What is dropped half made, such as hardware being elaborated, warns of it line by line.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
        raise KeyboardInterrupt


def end_on_signals() -> None:
    """Let Ctrl-C and SIGTERM end this process; called once, before anything slow is imported."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _end)


def ignore_signals() -> None:
    """The command has ended: its status stands, and Python's own clean-up is not disturbed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)


def asked_to_end() -> bool:
    """Whether a signal has come since `end_on_signals`."""
    return _asked


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does.

    Otherwise it would end the program at once and leave a device that still writes to memory, which
    the system may give to another process.  Does nothing outside the main thread, and after
    `end_on_signals`.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is _end
    ):
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
