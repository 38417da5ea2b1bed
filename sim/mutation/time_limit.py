"""A pytest plugin for the tests of mutants: a limit for each test, and the slow ones last.

A test has so much of the processor's time.  Only time in which the process itself runs counts, so
other load on the machine does not matter.  The signal is not handled: it ends the process even if
it is in a loop of C++.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

__all__ = ["CURRENT", "SECONDS", "SIGNAL"]

SIGNAL = signal.SIGPROF
SECONDS = 30.0

# The variable that names a file, and in that file the test that runs.
CURRENT = "PENSTOCK_CURRENT_TEST"


def pytest_configure() -> None:
    """Limit the collection, which imports the hardware."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put the tests that compile something for another simulator behind the others."""
    items.sort(key=_compiles)


def _compiles(item: Any) -> bool:
    code = getattr(getattr(item, "function", None), "__code__", None)
    return code is not None and not {"bench", "library", "verilog"}.isdisjoint(code.co_names)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Begin the limit of a test."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    if CURRENT in os.environ:
        Path(os.environ[CURRENT]).write_text(nodeid, encoding="utf-8")
