"""Plot of a profile: its names do not overlap, and its files have the right format."""

from __future__ import annotations

import importlib.util
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
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS


def layers(count: int) -> tuple[list[LayerFigures], list[dict[str, int]]]:
    """Random layers, the last one without multiply-accumulates."""
    rng = np.random.default_rng(count)
    figures, parts = [], []
    for index in range(count):
        part = {name: int(rng.integers(0, 2000)) for name in CAUSES}
        cycles = sum(part.values())
        counts = {name: int(rng.integers(1, 500)) for name, _ in LOG_FIELDS} | {"cycles": cycles}
        macs = part["work"] * 16 if index < count - 1 else 0
        figures.append(LayerFigures(f"layer{index}", macs, counts, 16))
        parts.append(part)
    return figures, parts


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
    figures, parts = layers(count)
    path = tmp_path / "picture.svg"
    draw(figures, parts, title="a profile", arch=get_arch("tiny")).save(path)
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
    """Not even that of a layer whose work the layer before did."""
    figures, parts = layers(12)
    arch = get_arch("tiny")
    # All of its work was ahead: more multiply-accumulates than its cycles have room for.
    counts = {**figures[3].counts, "cycles": sum(parts[3].values())}
    figures[3] = LayerFigures("early", 3 * 16 * counts["cycles"], counts, 16)
    picture = draw(figures, parts, title="a profile", arch=arch).figure
    axes = picture.axes[0]
    roof, *points = axes.get_lines()
    peak = max(roof.get_ydata())
    assert peak == arch.macs_per_cycle
    assert len(points) == 11
    assert all(point.get_ydata()[0] <= peak for point in points)


def test_png(tmp_path: Path) -> None:
    figures, parts = layers(3)
    path = tmp_path / "picture"
    plot = draw(figures, parts, title="a profile", arch=get_arch("tiny"))
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
