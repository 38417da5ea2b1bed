"""`classify --jobs`: several simulated devices give the same answers and figures as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.host.inputs import catalog
from penstock.models.data.shipped import PHOTOS
from tests.support.commands import Run, classify, refused

PHOTO = str(PHOTOS / "chelsea.jpg")


def test_several_devices_report_the_same(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE")  # the one with the simulators
    photos = [str(path) for path in catalog.photographs()]
    reports = []
    for jobs in ("1", "3"):
        path = tmp_path / f"{jobs}.json"
        outcome = penstock(
            *("classify", *photos, "--model", "tiny", "--arch", "tiny", "--jobs", jobs),
            *("--check", "--json", path),
        )
        assert outcome.status == 0, outcome
        assert ("3 devices" in outcome.out) == (jobs == "3")
        assert outcome.out.count("bit-exact with the golden model: yes") == len(photos)
        report = json.loads(path.read_text())
        for name in ("sim_seconds", "cpu_seconds", "wall_seconds"):
            assert report["totals"].pop(name) > 0
        reports.append(report)
    assert reports[0] == reports[1]


def test_jobs_that_cannot_be(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(classify(penstock, PHOTO, "--jobs", "0"), "--jobs")
    monkeypatch.setattr(
        "penstock.host.devices.functional.FunctionalDevice.another", lambda device: None
    )
    refused(classify(penstock, PHOTO, PHOTO, "--jobs", "2"), "jobs 2: there is only one device")
    for alone in (["--jobs", "2"], [PHOTO]):  # one image needs one device; the default takes one
        assert classify(penstock, PHOTO, *alone).status == 0
