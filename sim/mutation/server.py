"""Fork server for repeated pytest runs in one tree, without reloading all modules: ``python -m``.

Modules that no mutant changes are imported once; each run is a fork, which imports the hardware and
the tests.  A line of JSON on standard input requests a run, one on standard output answers (with
`keep`, bytecode is kept for later runs)::

    {"arguments": [...], "output": "file", "seconds": 60.0, "keep": false}
    {"status": 0}

`status` is pytest's, or minus the number of the signal that ended the run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["main"]

_PRELOADED = (
    *("amaranth", "amaranth.back.rtlil", "amaranth.lib.crc", "amaranth.lib.fifo"),
    *("amaranth.lib.memory", "amaranth.lib.stream", "amaranth.sim", "cocotb_tools.runner"),
    *("hypothesis", "numpy", "pytest", "_pytest.assertion.rewrite", "xml.etree.ElementTree"),
    *("penstock.host.devices.rtl", "penstock.models.graph.graph", "penstock.sim.bench.runner"),
)


def _run(arguments: list[str], output: str, keep: bool) -> int:
    """In the forked process: run pytest with its output in a file."""
    import pytest

    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.dont_write_bytecode = not keep
    # Plugins that are loaded already cannot have their assertions rewritten: suppress the warning.
    known = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    return int(pytest.main(["-W", known, *arguments]))


def _wait(process: int, seconds: float) -> int:
    """Wait for a process and kill its children; return its status."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _answers(requests: Iterator[Mapping[str, Any]]) -> Iterator[int]:
    for request in requests:
        process = os.fork()
        if not process:
            status = 3  # an error inside pytest
            try:
                status = _run(request["arguments"], request["output"], request["keep"])
            finally:
                sys.stdout.flush()
                os._exit(status)
        yield _wait(process, request["seconds"])


def main() -> None:
    """Answer requests until the end of the input."""
    for name in _PRELOADED:
        importlib.import_module(name)
    loaded = [name for name in sys.modules if name.startswith(("penstock.hw", "tests"))]
    assert not loaded, f"{', '.join(loaded)} must be imported anew in each run"
    for status in _answers(map(json.loads, sys.stdin)):
        print(json.dumps({"status": status}), flush=True)


if __name__ == "__main__":
    main()
