"""Plot of a profile: a roofline, and the cycle breakdown of every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.host.report.missing_package import require
from penstock.host.report.plot import Plot
from penstock.host.timing.cycle_breakdown import CAUSES, LOSSES
from penstock.host.timing.latencies import BEAT, MEMORY
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import human

if TYPE_CHECKING:
    from penstock.host.report.layer_profile import LayerFigures

__all__ = ["draw", "spread"]

_COLOURS = {
    "work": "#2c6e9b",
    "ahead": "#8fbfdd",
    "padding": "#b9b1a4",
    "input": "#e0a03a",
    "weights": "#c8553d",
    "output": "#7d5ba6",
    "idle": "#4d4d4d",
}

# Inches of a bar, of a name below the roofline, and of each panel.
_BAR = 0.3
_NAME = 0.16
_PANEL = 5.4


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Move ascending positions in 0 .. 1 apart as little as possible, in the same order.

    Parameters
    ----------
    wanted : sequence of float
    gap : float
        Least distance of two positions; smaller if they would not all fit.
    """
    count = len(wanted)
    gap = min(gap, 1 / max(count - 1, 1))
    # With the gaps subtracted, positions only have to be ascending.  Neighbours that are not are
    # moved to their mean.
    blocks: list[tuple[float, int]] = []
    for index, position in enumerate(wanted):
        mean, size = position - index * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, many = blocks.pop()
            mean, size = (mean * size + other * many) / (size + many), size + many
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    most = 1 - (count - 1) * gap
    return [min(max(mean, 0.0), most) + index * gap for index, mean in enumerate(means)]


def _roofline(
    axes: Any, layers: Sequence[LayerFigures], arch: Arch, inches: tuple[float, float]
) -> None:
    """Draw layers as points under the compute and memory roofs."""
    from matplotlib.ticker import LogLocator, NullLocator

    wide_inches, high_inches = inches
    peak, rate = arch.macs_per_cycle, MEMORY.rate * BEAT
    # What was computed and what was moved in the same cycles: no point is above a roof.
    points = sorted(
        (done / moved, done / layer.cycles, layer.name)
        for layer in layers
        if (done := layer.useful * arch.macs_per_cycle)
        and (moved := layer.read_bytes + layer.write_bytes)
    )
    ridge = peak / rate
    low = min([ridge, *(x for x, _, _ in points)]) / 3
    high = max([ridge, *(x for x, _, _ in points)]) * 3
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    floor = min([peak / 4, *(y for _, y, _ in points)])
    # The lowest inch holds the names.
    strip = min(1.0 / high_inches, 0.3)
    top = 1.5 * peak
    axes.set_ylim(top / (top / floor) ** (1 / (0.92 - strip)), top)
    axes.plot([low, ridge, high], [low * rate, peak, peak], color="black", linewidth=1.2)
    wanted = [float(np.log(x / low) / np.log(high / low)) for x, _, _ in points]
    places = spread(wanted, _NAME / wide_inches / 0.92)
    size = min(8.0, 72 * wide_inches * 0.9 / max(len(points), 1))
    for (x, y, name), place in zip(points, places):
        axes.plot(x, y, "o", color=_COLOURS["work"], markersize=5, zorder=3)
        axes.annotate(
            name,
            (x, y),
            xytext=(0.04 + 0.92 * place, strip),
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="top",
            fontsize=size,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": "grey", "linewidth": 0.5, "shrinkB": 2},
        )
    axes.set_xlabel("MACs for each byte moved")
    axes.set_ylabel("MACs a cycle")
    axes.set_title(f"Roofline: {peak} MACs a cycle, {rate:g} bytes a cycle")
    for axis in (axes.xaxis, axes.yaxis):
        near = axis.get_view_interval()[1] < 1e4 * axis.get_view_interval()[0]
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if near else (1,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.2)


def _bars(axes: Any, shares: Sequence[Mapping[str, float]], names: Sequence[str]) -> None:
    """Draw a stacked bar for each row of shares."""
    rows = np.arange(len(shares))
    left = np.zeros(len(shares))
    for name in names:
        width = np.array([share[name] for share in shares])
        axes.barh(rows, width, left=left, height=0.72, color=_COLOURS[name])
        left += width
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.2)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw(
    layers: Sequence[LayerFigures],
    *,
    title: str,
    arch: Arch,
) -> Plot:
    """Return the plot.

    Parameters
    ----------
    layers : sequence of LayerFigures
        Of a device that counts cycles.
    title : str
    arch : Arch

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    require("matplotlib", "plot")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    wide = max(_PANEL, 1.4 + _NAME * len(layers))
    high = max(4.6, 1.9 + _BAR * len(layers))
    settings: Any = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": title}
    with rc_context(settings):
        figure = Figure(figsize=(wide + 2 * _PANEL, high), layout="constrained")
        figure.suptitle(title)
        roof, whole, lost = figure.subplots(1, 3, width_ratios=[wide, _PANEL, _PANEL])
        _roofline(roof, layers, arch, (wide - 0.9, high - 1.5))
        shares = [
            {name: 100 * count / max(layer.cycles, 1) for name, count in layer.breakdown.items()}
            for layer in layers
        ]
        _bars(whole, shares, list(CAUSES))
        whole.set_yticks(range(len(layers)), [layer.name for layer in layers])
        whole.set(xlim=(0, 100), xlabel="% of the layer's cycles", title="Where the cycles went")
        _bars(lost, shares, LOSSES)
        losses = [sum(share[name] for name in LOSSES) for share in shares]
        lost.set(xlabel="% of the layer's cycles", title="Cycles without a multiply-accumulate")
        lost.set_xlim(0, max(1.5 * max(losses), 1.0))
        lost.set_yticks(range(len(layers)), [])
        for row, (layer, loss) in enumerate(zip(layers, losses)):
            text = f"{loss:.1f} % of {human(layer.cycles)} cycles"
            lost.annotate(text, (loss, row), xytext=(4, 0), textcoords="offset points", va="center")
        figure.legend(
            handles=[Patch(color=_COLOURS[name], label=text) for name, text in CAUSES.items()],
            loc="outside lower center",
            ncols=4,
            frameon=False,
        )
    return Plot(figure, settings)
