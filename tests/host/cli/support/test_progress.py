"""Progress: nothing for quick work, one plain line where there is no terminal."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from penstock.host.cli.support import progress as cli_progress
from penstock.host.cli.support.progress import Task, task
from penstock.models.spec.number_format import duration


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _fire(made: Task) -> None:
    """Let the delay pass at once."""
    made._timer.cancel()
    shown = threading.Thread(target=made._show, daemon=True)
    shown.start()
    shown.join(0.2)


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
    made._timer.join(0.5)
    made.close()
    made._timer.join(10)
    assert not made._timer.is_alive()
    assert capsys.readouterr().err == "penstock: waiting ...\n"


def test_share_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: now[0])
    made = Task("counting", total=200)
    now[0] += 30
    assert made.state == "0 %, 30 s so far"
    made.update(50)
    assert made.state == "25 %, 30 s so far, about 1 min 30 s left"
    made.close()
    assert [duration(s) for s in (0.4, 59.4, 61, 3900)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "1 h 05 min",
    ]


def test_share_of_the_time_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: now[0])
    made = Task("building", expected=400)
    now[0] += 100
    assert made.state == "25 %, 1 min 40 s so far, about 5 min 00 s left"
    now[0] += 320
    assert made.state == "7 min 00 s so far, longer than the 6 min 40 s expected"
    made.close()


def test_a_bar_follows_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setattr(cli_progress, "_TICK", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    with task("building", expected=1000) as progress:
        _fire(progress)
        for _ in range(500):
            time.sleep(0.01)
            if progress._done > 0:
                return
    raise AssertionError("the bar stands still")


def test_plain_lines_come_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_progress, "DELAY", 0.0)
    monkeypatch.setattr(cli_progress, "_FIRST", 0.01)
    with task("counting", total=4) as progress:
        progress.update(2)
        for _ in range(500):
            time.sleep(0.01)
            lines = capsys.readouterr().err.splitlines()
            if any("counting: 50 %" in line and "left" in line for line in lines):
                return
    raise AssertionError("no second line")


def test_a_bar_takes_nothing_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """`penstock screen > file`, with standard error a terminal."""
    terminal, file = _Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setenv("TERM", "xterm")
    with task("counting", total=10) as progress:
        _fire(progress)
        print("an answer")
    assert file.getvalue() == "an answer\n"
    assert "an answer" not in terminal.getvalue()
