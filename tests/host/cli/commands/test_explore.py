"""`explore` as a command: its table, its files, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.models.spec.arch_file import load_arch
from tests.support.commands import Run, refused

SMALL = ("explore", "tiny", "--arch", "tiny", "--jobs", "1")


def test_a_sweep(penstock: Run, tmp_path: Path) -> None:
    report, saved, picture = (tmp_path / name for name in ("a.json", "a.toml", "a.svg"))
    outcome = penstock(
        *SMALL,
        *("--array", "4x4,8x8,3x3", "--act-words", "1024..2048", "--clock", "50,100"),
        *("--json", report, "--save", saved, "--plot", picture),
    )
    assert outcome.status == 0, outcome.err
    data = json.loads(report.read_text())
    points = data["points"]
    assert len(points) == 8
    assert [p["images_per_second"] for p in points] == sorted(
        (p["images_per_second"] for p in points), reverse=True
    )
    for point in points:
        cycles = point["models"]["tiny"]["cycles"]
        assert point["images_per_second"] == pytest.approx(point["clock_mhz"] * 1e6 / cycles)
        assert point["arch"]["name"] in outcome.out
    assert any(point["pareto"] for point in points)
    assert not any(point["pareto"] for point in points if point["clock_mhz"] == 50)
    assert {item["arch"] for item in data["impossible"]} == {
        "3x3, act_words 1024",
        "3x3, act_words 2048",
    }
    assert load_arch(saved).fingerprint == int(points[0]["fingerprint"], 16)
    assert "Pareto front" in picture.read_text()


def test_a_board_leaves_out_what_does_not_fit(penstock: Run, tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    outcome = penstock(
        *SMALL, "--array", "4x4,12x12", "--board", "tang-nano-20k", "--lrn-lanes", "2",
        *("--json", report),
    )  # fmt: skip
    assert outcome.status == 1
    assert "no arch of this sweep" in outcome.err
    outcome = penstock(*SMALL, "--array", "4x4,16x16", "--board", "ulx3s-85f", "--json", report)
    assert outcome.status == 0, outcome.err
    data = json.loads(report.read_text())
    assert [item["arch"] for item in data["too_large"]] == ["16x16"]
    assert "DSP of 156" in data["too_large"][0]["reason"]
    assert [point["arch"]["name"] for point in data["points"]] == ["4x4"]
    assert data["points"][0]["clock_mhz"] == 90


def test_refusals(penstock: Run, tmp_path: Path) -> None:
    refused(penstock("explore", "alexnot"), "'alexnot'")
    refused(penstock(*SMALL, "--array", "8"), "--array", "'8'")
    refused(penstock(*SMALL, "--array", "8x8", "--rows", "8"), "not both")
    refused(penstock(*SMALL, "--clock", "0"), "clock must be positive")
    refused(penstock(*SMALL, "--board", "x"), "pynq-z2", "'x'")
    refused(penstock(*SMALL, "--family", "x"), "ecp5", "'x'")
    refused(penstock(*SMALL, "--board", "pynq-z2", "--family", "xc7"), "not both")
    refused(penstock(*SMALL, "--save", tmp_path / "a.txt"), ".toml", "a.txt")
    refused(penstock(*SMALL, "--plot", tmp_path / "a.gif"), ".png, .svg")
