"""Image arguments of `classify`: existing files, and folders of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import penstock as package
from penstock.host.cli.commands import classify as classify_command
from penstock.models.data.shipped import PHOTOS
from tests.support.commands import Run, classify, refused

PHOTO = PHOTOS / "chelsea.jpg"


def test_missing_images_are_refused_first(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(classify_command, "load", never)
    refused(classify(penstock, PHOTO, tmp_path / "none.jpg"), "none.jpg", "no such file")
    refused(classify(penstock, tmp_path), "holds no images")


def test_a_folder_is_its_images(penstock: Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (50, 40)).save(tmp_path / name)
    (tmp_path / "c.HEIC").write_bytes(b"x")
    outcome = classify(penstock, tmp_path)
    assert outcome.status == 0, outcome
    assert all(f"{tmp_path}/{name}" in outcome.out for name in ("a.png", "b.jpg"))
    assert "1 file is left out, .HEIC is not read" in outcome.err


def test_help_and_version(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert penstock("--version").out == f"penstock {package.__version__}\n"
    shown = penstock("-h")
    assert shown.status == 0
    assert "..." not in shown.out.split("Commands:")[1]
    assert "--install-completion" in shown.out
    assert "list[" not in penstock("screen", "-h").out
