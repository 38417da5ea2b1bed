"""`penstock screen`: verdicts, resuming, broken files, exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.cli import app
from penstock.host.cli.support.device_options import open_for
from penstock.host.devices.device import Device
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.runtime import session
from penstock.models.golden.ops import run_quantised
from penstock.models.graph import store
from penstock.models.graph.graph import Network
from tests.support.screening import bright_net, paint, write_model

Maps = dict[str, NDArray[np.int64]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four images in two levels, with the model beside it."""
    write_model(tmp_path / "model")
    images = tmp_path / "images"
    paint(images / "black.png", (0, 0, 0))
    paint(images / "red.png", (250, 0, 0))
    paint(images / "more" / "yellow.png", (250, 250, 0))
    paint(images / "more" / "yellow2.jpg", (240, 250, 0))
    return tmp_path


def screen(folder: Path, *more: object, device: str = "golden") -> int:
    arguments = ["screen", folder / "images", "--model", folder / "model" / "model.json"]
    arguments += ["--device", device, "--arch", "tiny", *more]
    return app.run([str(argument) for argument in arguments])


def test_every_feature_map_is_checked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert screen(folder, "--check", device="functional") == 0
    printed = capsys.readouterr().out
    # Four images in the coarse stage, three in the fine one, a convolution and a pool in each.
    assert "coarse stage bit-exact with the golden model: yes (8 feature maps)" in printed
    assert "fine stage bit-exact with the golden model: yes (6 feature maps)" in printed

    def wrong(network: Network, codes: NDArray[np.uint8], stop: str | None = None) -> Maps:
        return {
            name: values ^ 1 for name, values in run_quantised(network, codes, stop=stop).items()
        }

    monkeypatch.setattr(session, "run_quantised", wrong)
    assert screen(folder, "--check", device="functional") == 1
    assert "red: layer conv1" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_verdicts(folder: Path, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out.jsonl"
    assert screen(folder, "--json", out, device=device) == 0
    printed = capsys.readouterr().out
    assert "verified" not in printed
    assert "4 images: 2 confirmed, 1 flagged by the coarse stage only, 1 pass" in printed
    assert f"coarse stage on {device}, fine stage on {device}" in printed
    entries = [json.loads(line) for line in out.read_text().splitlines()][1:]
    assert {Path(entry["path"]).name: entry["verdict"] for entry in entries} == {
        "black.png": "pass",
        "red.png": "flagged",
        "yellow.png": "confirmed",
        "yellow2.jpg": "confirmed",
    }


def test_uploads_are_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(folder, "--verify", device="functional") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^verified: (\d+) of \1 bytes uploaded", printed, re.MULTILINE)


def test_broken_files_are_passed_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = folder / "images" / "broken.png"
    broken.write_text("no image")
    out = folder / "out.jsonl"
    assert screen(folder, "--json", out) == 1
    printed = capsys.readouterr().out
    assert "1 unreadable" in printed
    assert "2 confirmed" in printed
    # Once it is repaired, only that file is screened.
    paint(broken, (250, 250, 0))
    assert screen(folder, "--json", out) == 0
    printed = capsys.readouterr().out
    assert "5 images: 3 confirmed" in printed
    assert "4 of them were in" in printed
    assert printed.count(".png") == 1
    before = out.read_bytes()
    assert screen(folder, "--json", out) == 0
    assert out.read_bytes() == before


def test_thresholds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(folder, "--coarse-threshold", 0, "--fine-threshold", 0) == 0
    assert "4 confirmed" in capsys.readouterr().out


def test_a_stage_that_does_not_compile_runs_in_the_golden_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.save(bright_net("green", 1, window=4), folder / "model" / "green.net")
    assert screen(folder, "--fine-threshold", 0, device="functional") == 0
    printed = capsys.readouterr()
    assert "runs in the golden model: layer pool1" in printed.err
    assert "coarse stage on functional, fine stage on golden" in printed.out
    # But not if a device was named.
    assert screen(folder, "--fine-device", "functional", device="functional") == 2
    assert "layer pool1" in capsys.readouterr().err


def test_bad_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", folder / "model" / "model.json"]
    for arguments, message in (
        ([folder / "gone", *model], "gone: no such file or folder"),
        ([folder / "model", *model], "holds no images"),
        ([folder / "images", *model, "--device", "toaster"], "device must be one of"),
        ([folder / "images", "--model", folder / "gone.json"], "gone.json: no such file"),
        ([folder / "images", *model, "--coarse-threshold", "2"], "--coarse-threshold"),
    ):
        assert app.run(["screen", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_several_images_at_a_time(
    folder: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        paint(folder / "images" / f"{number}.png", (28 * number, 250 - 28 * number, 0))
    (folder / "images" / "4b.png").write_text("no image")
    one, three = folder / "one.jsonl", folder / "three.jsonl"
    assert screen(folder, "--check", "--jobs", 1, "--json", one, device=device) == 1
    alone = capsys.readouterr().out
    assert screen(folder, "--check", "--jobs", 3, "--json", three, device=device) == 1
    together = capsys.readouterr().out
    # The same verdicts in the same order, and as much was compared.
    assert three.read_bytes() == one.read_bytes()
    assert "images at a time" not in alone
    assert together.count(f"fine stage on {device}, 3 images at a time") == 1
    checked = re.findall(r"\((\d+) feature maps\)", alone)
    assert re.findall(r"\((\d+) feature maps\)", together) == checked
    assert len(checked) == (0 if device == "golden" else 2)


def test_jobs_need_devices(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FunctionalDevice, "another", lambda self: None)
    assert screen(folder, "--jobs", 2, device="functional") == 2
    assert "--jobs 2: there is only one device functional" in capsys.readouterr().err
    assert screen(folder, device="functional") == 0
    assert "at a time" not in capsys.readouterr().out


def test_rtl_says_what_is_faster(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def instead(name: str, *arguments: Any, **options: Any) -> Device:
        assert name == "rtl"
        return open_for("functional", *arguments, **options)

    monkeypatch.setattr("penstock.host.cli.commands.screen.open_for", instead)
    assert screen(folder, device="rtl") == 0
    assert "sooner" not in capsys.readouterr().err
    for number in range(4):
        paint(folder / "images" / f"{number}.png", (9, 9, 9))
    assert screen(folder, device="rtl") == 0
    assert "--device functional and golden give the same verdicts sooner" in capsys.readouterr().err
