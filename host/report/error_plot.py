"""Plot of the quantisation error: signal-to-noise ratio of each layer, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.host.report.missing_package import require
from penstock.host.report.plot import Plot
from penstock.models.quant.sqnr import LayerError

__all__ = ["plot_errors"]

_COLOURS = {
    "QConv": "#4477aa",
    "QFc": "#aa3377",
    "QLrn": "#ccbb44",
    "QAdd": "#228833",
    "Concat": "#bbbbbb",
}
_OTHER = ("pooling", "#66ccee")
_NAMES = {
    "QConv": "convolution",
    "QFc": "fully connected",
    "QLrn": "LRN",
    "QAdd": "sum",
    "Concat": "concatenation",
}

# Inches of one bar, and of the margins.
_BAR, _FRAME = 0.19, 1.5


def plot_errors(rows: Sequence[LayerError], title: str) -> Plot:
    """Draw the signal-to-noise ratio of each layer.

    Parameters
    ----------
    rows : sequence of LayerError
    title : str

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    """
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, _FRAME + _BAR * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    finite = [row.sqnr for row in rows if np.isfinite(row.sqnr)]
    top = max([*finite, 1.0])
    legend: dict[str, Any] = {}
    for index, row in enumerate(rows):
        name = _NAMES.get(row.kind, _OTHER[0])
        colour = _COLOURS.get(row.kind, _OTHER[1])
        # A layer without noise gets the longest bar and an infinity sign.
        length = row.sqnr if np.isfinite(row.sqnr) else top
        legend[name] = axes.barh(index, length, color=colour, height=0.75)
        text = f"{row.sqnr:.1f}" if np.isfinite(row.sqnr) else "exact"
        axes.annotate(
            text,
            (max(length, 0), index),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(min(0.0, *finite, 0.0), top * 1.1)
    axes.set_xlabel("signal to quantisation noise (dB)")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        list(legend.values()), list(legend), loc="outside lower center", ncols=6, fontsize=7
    )
    return Plot(figure, dpi=150)
