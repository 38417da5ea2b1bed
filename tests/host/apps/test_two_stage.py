"""Two stages: the inputs of each, the verdicts, and invalid models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.apps.two_stage import (
    CONFIRMED,
    FLAGGED,
    PASS,
    UNREADABLE,
    DeviceScores,
    Screen,
    golden_scores,
    load_model,
)
from penstock.host.compiler.compile import compile_network
from penstock.host.runtime.session import Session
from penstock.models.spec.arch import ARCHES
from tests.support.screening import paint, write_model

COLOURS = {"black": (0, 0, 0), "red": (250, 0, 0), "green": (0, 250, 0), "yellow": (250, 250, 0)}
EXPECTED = {"black": PASS, "red": FLAGGED, "green": PASS, "yellow": CONFIRMED}


def test_verdicts(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path))
    files = [paint(tmp_path / f"{name}.png", colour) for name, colour in COLOURS.items()]
    broken = tmp_path / "broken.png"
    broken.write_bytes(files[0].read_bytes()[:40])
    work = Screen(model, golden_scores(model.coarse.network), golden_scores(model.fine.network))
    *verdicts, last = work.run([*files, broken])
    assert {v.path.stem: v.verdict for v in verdicts} == EXPECTED
    assert (last.verdict, last.coarse) == (UNREADABLE, None)
    assert "broken.png" in last.error
    for verdict in verdicts:
        # The fine stage gets only the images flagged by the coarse one.
        assert (verdict.fine is None) == (verdict.verdict == PASS)
        entry = json.loads(verdict.line())
        assert entry["verdict"] == verdict.verdict
        assert entry["coarse"] == verdict.coarse
    assert json.loads(last.line()) == {
        "path": str(broken),
        "verdict": UNREADABLE,
        "coarse": None,
        "fine": None,
        "error": last.error,
    }


def test_a_device_gives_the_golden_scores(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path))
    files = [paint(tmp_path / f"{n}.png", (n, 255 - n, 9)) for n in range(90, 250, 40)]
    arch = ARCHES["tiny"]
    golden = Screen(model, golden_scores(model.coarse.network), golden_scores(model.fine.network))
    with open_device("functional", arch) as device:
        sessions = []
        for stage in (model.coarse, model.fine):
            program = compile_network(stage.network, arch)
            sessions.append(Session(stage.network, program, device, top=2))
        with sessions[0], sessions[1]:
            work = Screen(model, DeviceScores(sessions[0]), DeviceScores(sessions[1]))
            assert list(work.run(files)) == list(golden.run(files))


def test_the_key_is_of_the_networks(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    key = load_model(path).key
    assert load_model(path).key == key
    entries = json.loads(path.read_text())
    entries["fine"]["network"] = "red.net"
    path.write_text(json.dumps(entries))
    assert load_model(path).key != key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coarse": None}, "names no network for the coarse stage"),
        ({"fine": {"network": "gone.net", "threshold": 0.5}}, "gone.net: No such file"),
        ({"fine": {"network": "red.net", "threshold": 2}}, "threshold must be from 0 to 1, not 2"),
        ({"fine": {"network": "red.net"}}, "threshold must be from 0 to 1, not None"),
        ({"fine": {"network": "model.json", "threshold": 0.5}}, "not a saved network"),
    ],
)
def test_models_that_are_none(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = write_model(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=message):
        load_model(path)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone.json: no such file"):
        load_model(tmp_path / "gone.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(ValueError, match=r"text.json: not a screening model"):
        load_model(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match="names no network"):
        load_model(tmp_path / "list.json")


def test_a_score_equal_to_a_threshold_counts_as_above_it(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path))
    file = paint(tmp_path / "grey.png", (9, 9, 9))
    for coarse, fine, want in (
        (0.4, 0.6, CONFIRMED),
        (0.4, 0.5999, FLAGGED),
        (0.3999, 0.6, PASS),
    ):
        work = Screen(model, lambda _, s=coarse: iter([s]), lambda _, s=fine: iter([s]))
        (verdict,) = work.run([file])
        assert verdict.verdict == want
