"""`--json -`: standard output is the report and nothing else; what people read is on the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.host.inputs import catalog
from tests.support.screening import paint, write_model

PHOTO = str(catalog.photographs()[0])
TINY = ("--model", "tiny", "--arch", "tiny", "--device", "functional")


@pytest.mark.parametrize(
    ("arguments", "keys", "text"),
    [
        (("classify", PHOTO, *TINY, "--check"), {"images", "layers", "totals"}, "bit-exact"),
        (("profile", *TINY), {"images", "layers", "totals"}, "MACs an image"),
        (
            ("switch", "tiny", "lenet5-digits", "--arch", "tiny", "--device", "functional"),
            {"models", "requests"},
            "lenet5-digits",
        ),
    ],
)
@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_one_report(
    arguments: tuple[str, ...],
    keys: set[str],
    text: str,
    name: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run([*arguments, "--json", name]) == 0
    written = capfd.readouterr()
    assert keys <= set(json.loads(written.out))
    assert text in written.err
    assert list(tmp_path.iterdir()) == []
    # The next command writes where it always does.
    assert app.run(["classify", PHOTO, *TINY]) == 0
    written = capfd.readouterr()
    assert "meaningless" in written.out
    assert "MACs an image" in written.out


def test_lines_of_screen(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "model")
    paint(tmp_path / "images" / "black.png", (0, 0, 0))
    paint(tmp_path / "images" / "red.png", (250, 0, 0))
    monkeypatch.chdir(tmp_path / "images")
    model = str(tmp_path / "model" / "model.json")
    assert app.run(["screen", ".", "--model", model, "--device", "golden", "--json", "-"]) == 0
    written = capfd.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines()]
    assert "model" in lines[0]
    assert [line["verdict"] for line in lines[1:]] == ["pass", "flagged"]
    assert "2 images: " in written.err
    assert sorted(path.name for path in Path().iterdir()) == ["black.png", "red.png"]


def test_a_refusal_leaves_it_empty(capfd: pytest.CaptureFixture[str]) -> None:
    assert app.run(["classify", "gone.jpg", *TINY, "--json", "-"]) == 2
    written = capfd.readouterr()
    assert written.out == ""
    assert "gone.jpg: no such file" in written.err
