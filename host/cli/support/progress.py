"""Progress of long work, on standard error.

On a terminal a bar appears once a piece of work has taken two seconds, and goes away at its end.
Elsewhere a plain line takes its place, and another one whenever a while has passed.  Where it is
known how much there is to do, both say which share is done and about how long the rest takes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

__all__ = ["DELAY", "Task", "duration", "task"]

# Seconds before anything is shown.
DELAY = 2.0

# Seconds between plain lines: each wait is longer than the one before, up to a minute.
_FIRST, _LONGER, _LONGEST = 10.0, 1.5, 60.0

# Less than this share says too little about the rest.
_LEAST_SHARE = 0.02


def duration(seconds: float) -> str:
    """Return a time for people: 12 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Task:
    """One piece of work that may turn out long.

    Parameters
    ----------
    text : str
        What it is, such as ``building the simulator``.
    total : float or None
        Steps; None if nobody knows.
    """

    def __init__(self, text: str, total: float | None = None) -> None:
        self.text = text
        self._total = total
        self._done = 0.0
        self._begin = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._progress: Progress | None = None
        self._timer = threading.Timer(DELAY, self._show)
        self._timer.daemon = True
        self._timer.start()

    @property
    def state(self) -> str:
        """How far it is: ``37 %, 12 s, about 20 s left``, or the time alone."""
        spent = time.monotonic() - self._begin
        if not self._total:
            return f"{duration(spent)} so far"
        share = min(self._done / self._total, 1.0)
        text = f"{100 * share:.0f} %, {duration(spent)} so far"
        if share >= _LEAST_SHARE:
            text += f", about {duration(spent * (1 - share) / share)} left"
        return text

    def _show(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            if sys.stderr.isatty():
                self._start_bar()
                return
            self._print(f"{self.text} ...")
        wait = _FIRST
        while not self._over.wait(wait):
            with self._lock:
                if not self._over.is_set():
                    self._print(f"{self.text}: {self.state}")
            wait = min(wait * _LONGER, _LONGEST)

    @staticmethod
    def _print(text: str) -> None:
        print(f"penstock: {text}", file=sys.stderr, flush=True)

    def _start_bar(self) -> None:
        known = [BarColumn(bar_width=20)] if self._total else []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *known,
            TextColumn("{task.fields[of].state}", markup=False),
            console=Console(stderr=True),
            transient=True,
            # What is printed beside a bar passes through it; into a file it must not.
            redirect_stdout=sys.stdout.isatty(),
        )
        shown = self._progress.add_task(self.text, total=self._total, of=self)
        self._progress.update(shown, completed=self._done)
        self._progress.start()

    def update(self, done: float | None = None, text: str | None = None) -> None:
        """Say how many steps are done, or what happens now."""
        with self._lock:
            if text is not None:
                self.text = text
            if done is not None:
                self._done = done
            if self._progress is not None:
                shown = self._progress.task_ids[0]
                self._progress.update(shown, completed=self._done, description=self.text)

    def say(self, text: str) -> None:
        """`update` with a text only: what the libraries take as their ``progress``."""
        self.update(text=text)

    def close(self) -> None:
        """End it and take the bar away."""
        self._timer.cancel()
        with self._lock:
            self._over.set()
            if self._progress is not None:
                self._progress.stop()
                self._progress = None


@contextmanager
def task(text: str, total: float | None = None) -> Iterator[Task]:
    """Show the progress of the block."""
    made = Task(text, total)
    try:
        yield made
    finally:
        made.close()
