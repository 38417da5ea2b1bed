"""`explore`: the points of a sweep, what is left out, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penstock as ps
from penstock.host.api.exploring import plan_sweep


def test_points() -> None:
    seen: list[int] = []
    found = ps.explore(
        "tiny",
        arrays=[(4, 4), (8, 8), (3, 3)],
        vary={"act_words": [1024, 2048]},
        base="tiny",
        clocks=[50, 100],
        done=seen.append,
    )
    assert seen == [1, 2, 3, 4]
    assert len(found.points) == 8
    best = found.points[0]
    assert (best.mhz, best.arch.rows, best.front) == (100, 8, True)
    assert best.rate == max(point.rate for point in found.points)
    # A point is what compiling for it predicts.
    cycles = ps.compile(ps.load("tiny"), best.arch).predict().total.cycles
    assert best.rate == pytest.approx(100e6 / cycles)
    assert [name for name, _ in found.impossible] == ["3x3, act_words 1024", "3x3, act_words 2048"]
    assert "tiny on a core for xc7" in repr(found)
    assert best.arch.name in repr(found)
    assert "<table" in found._repr_html_()
    assert len(json.loads(json.dumps(found.to_json()))["points"]) == 8


def test_plot(tmp_path: Path) -> None:
    found = ps.explore("tiny", arrays=[(4, 4), (8, 8)], base="tiny")
    found.save_plot(tmp_path / "points.png")
    assert (tmp_path / "points.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"must be one of \.png, \.svg"):
        found.save_plot(tmp_path / "points.gif")


def test_a_board() -> None:
    planned = plan_sweep("tiny", arrays=[(4, 4), (16, 16)], base="tiny", board="ulx3s-85f")
    assert [arch.name for arch in planned.fitting] == ["4x4"]
    ((name, reason),) = planned.too_large
    assert name == "16x16" and "DSP of 156" in reason
    assert planned.clocks == (90,)
    # Only the array's sizes are those that are usual, if nothing else is asked for.
    assert len(plan_sweep("tiny", vary={"act_words": [1024]}).fitting) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"board": "pynq-z2", "family": "xc7"}, "not both"),
        ({"board": "x"}, "'x'"),
        ({"family": "x"}, "family must be one of .*, not 'x'"),
        ({"vary": {"rows": [1]}}, "vary takes act_words, .*, not 'rows'"),
        ({"clocks": [0]}, "clock must be positive"),
        ({"base": "x"}, "'x'"),
    ],
    ids=["both", "board", "family", "vary", "clock", "base"],
)
def test_refusals(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ps.explore("tiny", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'tinny'"):
        ps.explore("tinny", arrays=[(4, 4)])
