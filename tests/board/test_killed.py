"""State of a board after a program was terminated in the middle of a run."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_and_the_next_run_is_right(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.board.killed"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=300)
    assert first.startswith("running: 1 buffers, CmaFree "), first + rest + errors
    assert first != "running: 1 buffers, CmaFree 131072 kB\n"
    assert rest.splitlines() == [
        "ended: 0 buffers, CmaFree 131072 kB",
        "running: 1 buffers, CmaFree " + first.split()[-2] + " kB",
        "right: 0 buffers, CmaFree 131072 kB",
    ], errors
    assert process.returncode == 0
