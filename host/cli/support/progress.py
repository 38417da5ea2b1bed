"""Progress of long work, on standard error.

On a terminal a bar appears after two seconds of work and disappears at its end.  Elsewhere plain
lines are printed, at growing intervals.  If the amount of work is known, or how long it took
before, both show the share done and the estimated time left.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from penstock.models.spec.number_format import duration

__all__ = ["DELAY", "Task", "task"]

# Seconds until progress is shown.
DELAY = 2.0

# Seconds between plain lines: each interval is longer than the previous one, up to a minute.
_FIRST, _LONGER, _LONGEST = 10.0, 1.5, 60.0

# Seconds between two states of a bar that shows time.
_TICK = 0.5

# Least share done for an estimate of the time left.
_LEAST_SHARE = 0.02


class Task:
    """One piece of work that may take long.

    Parameters
    ----------
    text : str
        What it is, such as ``building the simulator``.
    total : float or None
        Number of steps; None if unknown.
    expected : float or None
        Instead of steps: the seconds that it is expected to take.
    """

    def __init__(
        self, text: str, total: float | None = None, *, expected: float | None = None
    ) -> None:
        self.text = text
        self._total = total or expected
        self._expected = expected
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
        """The progress: ``37 %, 12 s, about 20 s left``, or the time alone."""
        spent = time.monotonic() - self._begin
        if self._expected:
            return self._against_the_clock(spent, self._expected)
        if not self._total:
            return f"{duration(spent)} so far"
        share = min(self._done / self._total, 1.0)
        text = f"{100 * share:.0f} %, {duration(spent)} so far"
        if share >= _LEAST_SHARE:
            text += f", about {duration(spent * (1 - share) / share)} left"
        return text

    @staticmethod
    def _against_the_clock(spent: float, expected: float) -> str:
        if spent >= expected:
            return f"{duration(spent)} so far, longer than the {duration(expected)} expected"
        share, left = 100 * spent / expected, duration(expected - spent)
        return f"{share:.0f} %, {duration(spent)} so far, about {left} left"

    def _show(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            terminal = sys.stderr.isatty()
            if terminal:
                self._start_bar()
            else:
                self._print(f"{self.text} ...")
        if terminal:
            # Steps move the bar when they are done; without steps the time does.
            while self._expected and not self._over.wait(_TICK):
                self.update(time.monotonic() - self._begin)
            return
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
            # Output beside a bar passes through the bar; output to a file must not.
            redirect_stdout=sys.stdout.isatty(),
        )
        shown = self._progress.add_task(self.text, total=self._total, of=self)
        self._progress.update(shown, completed=self._done)
        self._progress.start()

    def update(self, done: float | None = None, text: str | None = None) -> None:
        """Set the number of steps done, or the text."""
        with self._lock:
            if text is not None:
                self.text = text
            if done is not None:
                self._done = done
            if self._progress is not None:
                shown = self._progress.task_ids[0]
                self._progress.update(shown, completed=self._done, description=self.text)

    def say(self, text: str) -> None:
        """`update` with a text only, as the ``progress`` callback of the libraries."""
        self.update(text=text)

    def close(self) -> None:
        """End it and remove the bar."""
        self._timer.cancel()
        with self._lock:
            self._over.set()
            if self._progress is not None:
                self._progress.stop()
                self._progress = None


@contextmanager
def task(text: str, total: float | None = None, *, expected: float | None = None) -> Iterator[Task]:
    """Show the progress of the block; the parameters are those of `Task`."""
    made = Task(text, total, expected=expected)
    try:
        yield made
    finally:
        made.close()
