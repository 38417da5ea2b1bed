"""Runs the tools: output to a log, measured cost, no processes left over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.hw.flow.errors import BuildError

__all__ = ["Cost", "Runner", "StoppedError"]

# Lines of a failed tool's output that its error message shows.
_TAIL = 6

# Ends a program when the thread that started it ends.
_SETPRIV = shutil.which("setpriv") if sys.platform == "linux" else None
_WITH_PARENT = [_SETPRIV, "--pdeathsig", "KILL", "--"] if _SETPRIV else []


class StoppedError(BuildError):
    """A tool was stopped before its end: by its time limit, or as the whole build ended."""


@dataclass(frozen=True)
class Cost:
    """Cost of one run of a tool.

    Parameters
    ----------
    seconds : float
        Of wall time.
    megabytes : float
        Of memory, at the peak.
    """

    seconds: float
    megabytes: float


class Runner:
    """Runs programs, several at a time if called from several threads.

    `stop` ends them all.  If this process is killed, Linux ends them (by ``setpriv``); elsewhere
    they end at their next write to the broken pipe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._stopped = False

    def run(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        deadline: float | None = None,
        line: Callable[[str], None] | None = None,
    ) -> Cost:
        """Run a program to its end.

        Parameters
        ----------
        command : sequence of str or Path
        log : Path
            Takes its output.
        cwd : Path or None
        env : mapping or None
            Environment variables besides those of this process.
        deadline : float or None
            ``time.monotonic()`` at which it is stopped.
        line : callable or None
            Called with each line of output.

        Raises
        ------
        StoppedError
            If it was stopped.
        BuildError
            If it cannot be run or fails, with the last lines of its output.
        """
        arguments = [str(argument) for argument in command]
        name = Path(arguments[0]).name
        if shutil.which(arguments[0]) is None:
            raise BuildError(f"{name} cannot be run: there is no such program")
        begin = time.monotonic()
        timer = None
        tail: list[str] = []
        with self._lock:
            if self._stopped:
                raise StoppedError(f"{name} was not run")
            try:
                process = subprocess.Popen(
                    [*_WITH_PARENT, *arguments],
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise BuildError(f"{name} cannot be run: {error.strerror}") from None
            self._running.add(process.pid)
        over = threading.Event()
        if deadline is not None:

            def expire() -> None:
                over.set()
                self._kill(process.pid)

            timer = threading.Timer(max(deadline - begin, 0), expire)
            timer.daemon = True
            timer.start()
        try:
            assert process.stdout is not None
            with open(log, "w", encoding="utf-8") as file, process.stdout as output:
                for text in output:
                    file.write(text)
                    if text.strip():
                        tail = [*tail[1 - _TAIL :], text.strip()]
                    if line is not None:
                        line(text)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if timer is not None:
                timer.cancel()
            if process.returncode is None:
                self._kill(process.pid)
                process.wait()
            with self._lock:
                self._running.discard(process.pid)
        if over.is_set() or self._stopped:
            raise StoppedError(f"{name} was stopped after {time.monotonic() - begin:.0f} s")
        if process.returncode:
            how = f"exit status {process.returncode}"
            if process.returncode < 0:
                how = f"signal {signal.Signals(-process.returncode).name}"
            raise BuildError(f"{name} failed ({how}): {' | '.join(tail) or 'it printed nothing'}")
        return Cost(time.monotonic() - begin, usage.ru_maxrss / 1024)

    def stop(self) -> None:
        """End all running programs, and refuse to run more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for pid in running:
            self._kill(pid)

    @staticmethod
    def _kill(pid: int) -> None:
        """End a program and its children: it leads its own process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
