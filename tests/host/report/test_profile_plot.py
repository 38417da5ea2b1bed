"""Plot of a profile: its names do not overlap, and its files have the right format."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from penstock.host.report.layer_profile import LayerFigures
from penstock.host.report.missing_package import MissingPackage
from penstock.host.report.plot import plot_format
from penstock.host.report.profile_plot import draw, spread
from penstock.host.timing.cycle_breakdown import CAUSES
from penstock.host.timing.latencies import BEAT, MEMORY
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS


def layers(count: int) -> list[LayerFigures]:
    """Random layers, the last one without multiply-accumulates."""
    rng = np.random.default_rng(count)
    figures = []
    for index in range(count):
        part = {name: int(rng.integers(0, 2000)) for name in CAUSES}
        if index == count - 1:
            part |= {"work": 0, "ahead": 0}
        cycles = sum(part.values())
        counts = {name: int(rng.integers(1, 500)) for name, _ in LOG_FIELDS} | {"cycles": cycles}
        # What the bus could move in these cycles, at most.
        counts |= {"read_beats": cycles // 3, "write_beats": int(rng.integers(1, cycles // 3))}
        figures.append(LayerFigures(f"layer{index}", part["work"] * 16, counts, 16, (), part))
    return figures


@pytest.mark.parametrize("count", [1, 5, 64])
def test_spread(count: int) -> None:
    rng = np.random.default_rng(count)
    wanted = sorted(rng.beta(1, 6, count).tolist())
    gap = 0.03
    placed = spread(wanted, gap)
    assert len(placed) == count
    least = min(gap, 1 / max(count - 1, 1))
    assert all(b - a >= least - 1e-9 for a, b in pairwise(placed))
    assert min(placed) >= 0 and max(placed) <= 1 + 1e-9


def test_what_is_apart_stays_where_it_is() -> None:
    assert spread([0.1, 0.5, 0.9], 0.05) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([], 0.1) == []


@pytest.mark.parametrize("count", [2, 30])
def test_names_do_not_overlap(tmp_path: Path, count: int) -> None:
    figures = layers(count)
    path = tmp_path / "picture.svg"
    draw(figures, title="a profile", arch=get_arch("tiny")).save(path)
    texts = [
        "".join(element.itertext())
        for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    ]
    for index, layer in enumerate(figures):
        # Beside its bar, and under the roofline if it has work.
        assert texts.count(layer.name) == (2 if index < count - 1 else 1)
    assert all(text in texts for text in CAUSES.values())
    assert "a profile" in texts


def test_no_point_is_above_the_roof() -> None:
    """Not even that of a layer whose work was done in the cycles of the one before."""
    figures = layers(20)
    short = next(layer for layer in figures if layer.breakdown["work"] > 100)
    figures.append(replace(short, name="short", macs=30 * short.macs))
    arch = get_arch("tiny")
    axes = draw(figures, title="a profile", arch=arch).figure.axes[0]
    points = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert len(points) == 20
    for x, y in points:
        assert y <= min(arch.macs_per_cycle, x * MEMORY.rate * BEAT) * (1 + 1e-9)


def test_png(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    plot = draw(layers(3), title="a profile", arch=get_arch("tiny"))
    plot.save(path, form="png")
    assert plot._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"picture: a plot must be one of \.png, \.svg, \.pdf"):
        plot.save(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plot_format("a.PNG") == "png"
    assert plot_format(Path("a.b.svg")) == "svg"
    for name in ("a", "a.pdf"):
        with pytest.raises(ValueError, match=rf"^{name}: a plot must be one of \.png, \.svg$"):
            plot_format(name, ("png", "svg"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"matplotlib is missing: pip install .*\[plot\]"):
        plot_format("a.png")
