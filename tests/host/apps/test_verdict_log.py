"""Verdicts on disk: continued, never mixed, and intact even after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.host.apps.two_stage import CONFIRMED, PASS, UNREADABLE, Model, Verdict, load_model
from penstock.host.apps.verdict_log import ScreenLog
from tests.support.screening import write_model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_model(tmp_path / "model"))


def verdict(name: str, kind: str = PASS) -> Verdict:
    return Verdict(Path(name), kind, 0.25, None if kind == PASS else 0.75)


def test_a_file_is_continued(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "out.jsonl"
    with ScreenLog(path, model) as log:
        assert log.done == {}
        log.add(verdict("a.png"))
        log.add(verdict("b.png", CONFIRMED))
        log.add(Verdict(Path("c.png"), UNREADABLE, error="cut short"))
    with ScreenLog(path, model) as log:
        # Unreadable files are tried again.
        assert log.done == {"a.png": PASS, "b.png": CONFIRMED}
        log.add(verdict("c.png"))
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert head["model"] == model.key
    assert head["coarse_threshold"] == model.coarse.threshold
    assert [line["path"] for line in lines] == ["a.png", "b.png", "c.png", "c.png"]


def test_an_unreadable_file_is_told_once(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "out.jsonl"
    for _ in range(3):
        with ScreenLog(path, model) as log:
            log.add(Verdict(Path("c.png"), UNREADABLE, error="cut short"))
    with ScreenLog(path, model) as log:
        log.add(Verdict(Path("c.png"), UNREADABLE, error="not an image"))
    _, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["error"] for line in lines] == ["cut short", "not an image"]
    assert list(lines[0]) == ["path", "verdict", "coarse", "fine", "error"]
    assert lines[0]["coarse"] is None


def test_every_line_is_there_at_once(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "out.jsonl"
    with ScreenLog(path, model) as log:
        for number in range(3):
            log.add(verdict(f"{number}.png"))
            assert len(path.read_text().splitlines()) == number + 2


def test_half_a_line_is_dropped(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "out.jsonl"
    with ScreenLog(path, model) as log:
        log.add(verdict("a.png"))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"path": "b.p')
    with ScreenLog(path, model) as log:
        assert log.done == {"a.png": PASS}
    assert path.read_bytes() == whole


def test_other_files_are_left_alone(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "out.jsonl"
    for content, message in (
        (b"notes\n", "line 1 is not JSON"),
        (b"1\n", "not a file of verdicts"),
        (b"no line end", "not a file of verdicts"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            ScreenLog(path, model)
        assert path.read_bytes() == content
    path.unlink()
    ScreenLog(path, model).close()
    before = path.read_bytes()
    other = replace(model, fine=replace(model.fine, threshold=0.9))
    with pytest.raises(ValueError, match="another model or other thresholds"):
        ScreenLog(path, other)
    assert path.read_bytes() == before
