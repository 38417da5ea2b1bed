"""`Screening`: two stages on a device or in the golden model."""

from __future__ import annotations

from pathlib import Path

import pytest

import penstock as ps
from penstock.host.devices.functional import FunctionalDevice
from penstock.models.graph import store
from tests.support.screening import bright_net, paint, write_model

COLOURS = {
    "black": (0, 0, 0),
    "red": (250, 0, 0),
    "yellow": (250, 250, 0),
}
WANTED = {"black.png": "pass", "red.png": "flagged", "yellow.png": "confirmed"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model, and a folder of images beside it."""
    write_model(tmp_path / "model")
    for name, colour in COLOURS.items():
        paint(tmp_path / "images" / f"{name}.png", colour)
    return tmp_path / "model" / "model.json"


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_verdicts(model: Path, tmp_path: Path, device: str) -> None:
    with ps.Screening(model, device=device, arch="tiny", check=True) as screening:
        found = {each.path.name: each.verdict for each in screening.run(tmp_path / "images")}
        assert found == WANTED
        # One file, and files by name.
        (one,) = screening.run(str(tmp_path / "images" / "red.png"))
        assert one.verdict == "flagged"
        assert one.coarse is not None and one.fine is not None
        broken = tmp_path / "broken.png"
        broken.write_text("no image")
        first, second = screening.run([broken, tmp_path / "images" / "black.png"])
        assert (first.verdict, second.verdict) == ("unreadable", "pass")
        assert screening.coarse.where == screening.fine.where == device
        assert len(screening.devices) == (device != "golden")
        # Five images in the coarse stage, three in the fine one, two maps each; it counts nothing.
        compared = (screening.coarse.compared, screening.fine.compared)
        assert compared == ((None, None) if device == "golden" else (10, 6))
        assert screening.coarse.layers is None
    with pytest.raises(ValueError, match="holds no images"):
        list(screening.run(model.parent))


def test_thresholds(model: Path, tmp_path: Path) -> None:
    with ps.Screening(model, device="golden", coarse_threshold=0, fine_threshold=0) as screening:
        assert [each.verdict for each in screening.run(tmp_path / "images")] == ["confirmed"] * 3
    with pytest.raises(ValueError, match="fine threshold must be from 0 to 1, not 2"):
        ps.Screening(model, device="golden", fine_threshold=2)


def test_a_stage_that_does_not_fit(model: Path) -> None:
    store.save(bright_net("green", 1, window=4), model.parent / "green.net")
    with ps.Screening(model, device="functional", arch="tiny") as screening:
        assert (screening.coarse.where, screening.fine.where) == ("functional", "golden")
        assert "layer pool1" in screening.fine.instead
        assert not screening.coarse.instead
    with pytest.raises(ps.CompileError, match="layer pool1"):
        ps.Screening(model, device="functional", fine_device="functional", arch="tiny")


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_several_at_a_time(model: Path, tmp_path: Path, device: str) -> None:
    for number in range(5):
        paint(tmp_path / "images" / f"{number}.png", (50 * number, 250 - 50 * number, 0))
    found = {}
    for jobs in (1, 3):
        with ps.Screening(model, device=device, arch="tiny", check=True, jobs=jobs) as screening:
            verdicts = list(screening.run(tmp_path / "images"))
            assert screening.jobs == jobs
            assert len(screening.devices) == (0 if device == "golden" else jobs)
            found[jobs] = (verdicts, screening.coarse.compared, screening.fine.compared)
    assert found[1] == found[3]
    with ps.Screening(model, device=device, arch="tiny", jobs=3, images=2) as screening:
        assert screening.jobs == 2


def test_jobs_that_cannot_be(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="jobs must be a positive integer, not 0"):
        ps.Screening(model, device="golden", jobs=0)
    monkeypatch.setattr(FunctionalDevice, "another", lambda self: None)
    with pytest.raises(ValueError, match="jobs 2: there is only one device functional"):
        ps.Screening(model, device="functional", arch="tiny", jobs=2)
    with ps.Screening(model, device="functional", arch="tiny", jobs=None) as screening:
        assert screening.jobs == 1


def test_names_of_devices(model: Path) -> None:
    with pytest.raises(ValueError, match="device must be one of"):
        ps.Screening(model, device="toaster", arch="tiny")
