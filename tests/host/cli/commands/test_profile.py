"""`penstock profile --plot --trace`: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.host.cli.support import progress

TINY = ("profile", "--model", "tiny", "--arch", "tiny")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine, progress lines must not appear in the compared output."""
    monkeypatch.setattr(progress, "DELAY", 600.0)


def refused(capsys: pytest.CaptureFixture[str], message: str, *arguments: str | Path) -> None:
    assert app.run([*TINY, *(str(argument) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"penstock: {message}\n"
    assert captured.out == ""


def test_picture_timeline_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, trace, report = (tmp_path / name for name in ("a.svg", "a.json", "report.json"))
    options = ("--plot", str(picture), "--trace", str(trace), "--json", str(report))
    assert app.run([*TINY, *options]) == 0, capsys.readouterr().err
    layers = json.loads(report.read_text())["layers"]
    events = json.loads(trace.read_text())["traceEvents"]
    assert events[0]["args"] == {"name": "tiny on rtl, arch tiny (4x4)"}
    found = [(e["name"], e["dur"]) for e in events if e.get("cat") == "layers"]
    assert found == [(layer["name"], layer["cycles"]) for layer in layers]
    text = picture.read_text()
    assert "tiny on rtl, arch tiny (4x4): " in text
    for layer in layers:
        assert f">{layer['name']}</text>" in text
    assert sorted(tmp_path.iterdir()) == sorted([picture, trace, report])


@pytest.mark.parametrize("option", ["--plot", "--trace"])
def test_a_device_that_counts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    message = f"{option} needs --device rtl: functional counts no cycles"
    refused(capsys, message, "--device", "functional", option, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.pdf"
    refused(capsys, f"{picture}: a plot must be one of .png, .svg", "--plot", picture)
    missing = tmp_path / "no" / "a.json"
    refused(capsys, f"{missing}: cannot write: no such file or directory", "--trace", missing)
    assert not list(tmp_path.iterdir())
