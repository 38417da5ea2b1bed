"""Progress of long work, on standard error.

On a terminal a bar appears once a piece of work has taken two seconds, and goes away at its end.
Elsewhere one plain line takes its place.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["DELAY", "Task", "task"]

# Seconds before anything is shown.
DELAY = 2.0


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
        self._over = False
        self._progress: Progress | None = None
        self._timer = threading.Timer(DELAY, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if self._over:
                return
            if not sys.stderr.isatty():
                print(f"penstock: {self.text} ...", file=sys.stderr, flush=True)
                return
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            shown = self._progress.add_task(self.text, total=self._total)
            self._progress.update(shown, completed=self._done)
            self._progress.tasks[0].start_time = self._begin
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
            self._over = True
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
