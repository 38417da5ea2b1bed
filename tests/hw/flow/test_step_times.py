"""How long a build takes: what is known, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.hw.boards.catalog import BOARDS
from penstock.hw.flow.step_times import _MEASURED, STEPS, StepTimes, step_times
from penstock.models.spec.arch import get_arch

ULX3S = BOARDS["ulx3s-25f"]


def test_the_shipped_times_are_of_boards_and_steps() -> None:
    measured = json.loads(_MEASURED.read_text())
    for board, seconds in measured.items():
        assert board in BOARDS
        assert set(seconds) <= set(STEPS)
        assert min(seconds.values()) > 0


def test_a_board_of_which_a_build_was_measured(tmp_path: Path) -> None:
    times = step_times(ULX3S, ULX3S.preset, tmp_path)
    assert times is not None
    assert times.source == "builds on two busy cores"
    assert times.step("synthesis") == 263
    # Another arch takes another time, and of another board nothing may be known.
    assert step_times(ULX3S, get_arch("tiny"), tmp_path) is None
    assert step_times(replace(ULX3S, name="mine"), ULX3S.preset, tmp_path) is None


def test_the_last_build_says_more(tmp_path: Path) -> None:
    report = {
        "board": ULX3S.name,
        "fingerprint": f"{ULX3S.preset.fingerprint:016x}",
        "costs": {"synthesis": {"seconds": 50.0, "megabytes": 1}},
        "seeds": [
            {"outcome": "routed", "seconds": 100.0},
            {"outcome": "failed", "seconds": 1.0},
            {"outcome": "routed", "seconds": 300.0},
        ],
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    times = step_times(ULX3S, ULX3S.preset, tmp_path)
    assert times is not None
    assert times.source == f"the last build in {tmp_path}"
    assert (times.step("synthesis"), times.step("place and route")) == (50, 200)
    # A step that it does not have is the shipped one.
    assert times.step("bitstream") == 28
    for damage in ("", "[]", json.dumps({**report, "seeds": 3}), json.dumps({"board": 1})):
        path.write_text(damage)
        times = step_times(ULX3S, ULX3S.preset, tmp_path)
        assert times is not None
        assert times.step("synthesis") == 263


@pytest.mark.parametrize(
    ("seeds", "jobs", "limit", "want"),
    [(1, 1, 0, 10 + 20 + 90 + 5), (4, 2, 0, 10 + 20 + 120 + 5), (4, 2, 100, 10 + 20 + 100 + 5)],
)
def test_the_whole(seeds: int, jobs: int, limit: float, want: float) -> None:
    """The check of the netlist, 90 s, runs beside place and route."""
    times = StepTimes(dict(zip(STEPS, (10, 20, 90, 60, 5), strict=True)), "a test")
    assert times.total(seeds=seeds, jobs=jobs, limit=limit) == want
    assert times.total(seeds=seeds, jobs=jobs, limit=limit, netlist_only=True) == 120


def test_what_is_not_known_is_not_guessed() -> None:
    options = {"seeds": 1, "jobs": 1, "limit": 0.0}
    assert StepTimes({"synthesis": 5}, "").total(**options) is None
    assert StepTimes({"place and route": 5}, "").total(**options) is None
    assert StepTimes({"synthesis": 5, "place and route": 7}, "").total(**options) == 12
