"""Progress: nothing for quick work, one plain line where there is no terminal."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from penstock.host.cli.support import progress as cli_progress
from penstock.host.cli.support.progress import Task, task


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _fire(made: Task) -> None:
    """Let the delay pass at once."""
    made._timer.cancel()
    made._show()


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with task("counting") as progress:
        progress.update(1)
    assert capsys.readouterr().err == ""
    progress._timer.join()
    assert threading.active_count() == threads


def test_a_plain_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with task("counting") as progress:
        progress.say("counting sheep")
        _fire(progress)
        progress.update(3)
    assert capsys.readouterr().err == "penstock: counting sheep ...\n"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with task("counting", total=10) as progress:
        _fire(progress)
        progress.update(4, "counting [sheep]")
    assert "counting" in terminal.getvalue()
    _fire(progress)
    assert progress._progress is None


def test_the_delay_passes_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_progress, "DELAY", 0.0)
    made = Task("waiting")
    made._timer.join(10)
    made.close()
    assert capsys.readouterr().err == "penstock: waiting ...\n"
