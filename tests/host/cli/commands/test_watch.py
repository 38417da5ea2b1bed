"""`penstock watch`: answers as pictures arrive, with their rate."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.host.cli import app
from penstock.host.cli.commands import watch as watch_command
from penstock.models.graph import store
from tests.support.netgen import make_classifier
from tests.support.networks import PHOTOS


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    store.save(make_classifier(), path)
    return path


def watch(model: Path, *arguments: str | Path) -> int:
    options = ["--model", str(model), "--device", "functional", "--arch", "tiny"]
    return app.run(["watch", *map(str, arguments), *options])


def test_a_folder(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in PHOTOS:
        shutil.copy(path, folder)
    (folder / "broken.jpg").write_text("no image")
    assert watch(model, folder, "--once", "--group", "2") == 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if not line.startswith("  ")]
    for line, path in zip(lines, PHOTOS, strict=False):
        assert re.fullmatch(rf"{folder}/{path.name}: \d+\.\d %  .+", line)
    assert re.fullmatch(r"3 pictures in \d+\.\d s: \d+\.\d frames/s", lines[3])
    assert f"{folder}/broken.jpg: not an image" in err


def test_a_camera(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def frames(camera: int) -> object:
        seen.append(camera)
        while True:
            yield np.full((48, 64, 3), 100, np.uint8)

    monkeypatch.setattr(watch_command, "frames", frames)
    assert watch(model, "camera:2", "--count", "3") == 0
    out = capsys.readouterr().out
    assert seen == [2]
    assert out.count("frame ") == 3
    assert "3 pictures in" in out


@pytest.mark.parametrize("options", [(), ("--group", "4"), ("--batch", "2")])
def test_the_last_answer_does_not_wait_for_another_picture(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """Three pictures, then nothing: three answers, none lost at Ctrl-C."""
    folder = tmp_path / "in"
    folder.mkdir()
    for path in PHOTOS:
        shutil.copy(path, folder)
    shown: list[str] = []

    def interrupt() -> None:
        for _ in range(600):
            time.sleep(0.05)
            shown.append(capfd.readouterr().out)
            if "".join(shown).count(" %  ") == len(PHOTOS):
                break
        os.kill(os.getpid(), signal.SIGTERM)

    waiter = threading.Thread(target=interrupt)
    waiter.start()
    assert watch(model, folder, *options) == 130
    waiter.join()
    text = "".join(shown)
    assert text.count(" %  ") == len(PHOTOS), text
    assert "3 pictures in" in capfd.readouterr().out
    # The thread that polls the folder ends with the next picture.
    shutil.copy(PHOTOS[0], folder / "last.jpg")
    for thread in threading.enumerate():
        if thread.name == "pictures":
            thread.join(10)


def test_a_network_without_answers(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_classifier()
    store.save(replace(whole, layers=whole.layers[:2]), model)
    assert watch(model, tmp_path, "--once") == 2
    assert "classifier has no layers that give an answer" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["/no/such", "camera:x"])
def test_no_source(model: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(model, source) == 2
    assert f"SOURCE must be a folder, camera or camera:N, not '{source}'" in capsys.readouterr().err
