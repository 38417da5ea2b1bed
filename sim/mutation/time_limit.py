"""A pytest plugin for runs with mutants: a time limit for each test, slow tests last.

The limit is CPU time of the process, so other load on the machine does not matter.  The signal has
no handler: it ends the process even in a loop of C++.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

__all__ = ["CURRENT", "SECONDS", "SIGNAL"]

SIGNAL = signal.SIGPROF
SECONDS = 30.0

# Environment variable with the path of a file that holds the name of the running test.
CURRENT = "PENSTOCK_CURRENT_TEST"


def pytest_configure() -> None:
    """Limit the collection, which imports the hardware."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Move tests that compile for another simulator to the end."""
    items.sort(key=_compiles)


def _compiles(item: Any) -> bool:
    code = getattr(getattr(item, "function", None), "__code__", None)
    return code is not None and not {"bench", "library", "verilog"}.isdisjoint(code.co_names)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Start the time limit of a test."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    if CURRENT in os.environ:
        Path(os.environ[CURRENT]).write_text(nodeid, encoding="utf-8")
