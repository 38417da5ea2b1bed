"""Plot of an evaluation: the trade-off of each stage, for each way of running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scripts.screening.evaluate import Answers

__all__ = ["plot"]

_STYLES = ({"color": "#bbbbbb", "lw": 5}, {"color": "#4477aa", "lw": 2.4})
_LAST = {"color": "#ee6677", "lw": 1.1, "ls": "--"}


def _rates(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Share of others and of codes at or above each score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    codes = labels[order] == 1
    return np.cumsum(~codes) / max((~codes).sum(), 1), np.cumsum(codes) / max(codes.sum(), 1)


def _coarse(axes: Any, ways: Sequence[Answers], labels: NDArray[Any], threshold: float) -> None:
    for way, style in zip(ways, (*_STYLES, _LAST)):
        known = labels[: len(way.coarse)]
        others, codes = _rates(way.coarse, known)
        text = way.name if len(known) == len(labels) else f"{way.name} ({len(known)} pictures)"
        axes.plot(others * 100, (1 - codes) * 100, label=text, **style)
        flagged = way.coarse >= threshold
        point = flagged[known == 0].mean() * 100, (1 - flagged[known == 1].mean()) * 100
        axes.plot(*point, "o", color=style["color"], mec="black", zorder=5)
    axes.axhspan(0, 1, 0, 1, color="none")
    axes.plot([0, 10, 10], [1, 1, 0], color="black", lw=0.8, ls=":")
    axes.annotate("goal", (10, 1), xytext=(-4, 3), textcoords="offset points", ha="right")
    axes.set_xlim(0, 20)
    axes.set_ylim(0, 5)
    axes.set_xlabel("other pictures passed on (%)")
    axes.set_ylabel("codes missed (%)")
    axes.set_title("coarse stage", fontsize=10)


def _both(
    axes: Any, ways: Sequence[Answers], labels: NDArray[Any], thresholds: tuple[float, float]
) -> None:
    for way, style in zip(ways, (*_STYLES, _LAST)):
        known = labels[: len(way.coarse)]
        flagged = way.coarse >= thresholds[0]
        order = np.argsort(-np.where(flagged, way.fine, -1), kind="stable")[: int(flagged.sum())]
        right = np.cumsum(known[order] == 1)
        recall, precision = right / (known == 1).sum(), right / np.arange(1, len(order) + 1)
        axes.plot(recall * 100, precision * 100, **style)
        confirmed = flagged & (way.fine >= thresholds[1])
        if confirmed.any():
            point = (
                confirmed[known == 1].mean() * 100,
                (known[confirmed] == 1).mean() * 100,
            )
            axes.plot(*point, "o", color=style["color"], mec="black", zorder=5)
    axes.plot([95, 95, 100], [100, 99, 99], color="black", lw=0.8, ls=":")
    axes.annotate("goal", (95, 99), xytext=(3, 4), textcoords="offset points")
    axes.set_xlim(85, 100.2)
    axes.set_ylim(94, 100.2)
    axes.set_xlabel("recall (%)")
    axes.set_ylabel("precision (%)")
    axes.set_title("both stages", fontsize=10)


def plot(
    ways: Sequence[Answers],
    labels: NDArray[np.uint8],
    thresholds: tuple[float, float],
    path: Path,
) -> None:
    """Draw the curves of up to three ways into a file; dots mark the shipped thresholds.

    Parameters
    ----------
    ways : sequence of Answers
    labels : ndarray, (n,)
        A way may have scores of the first pictures only.
    thresholds : (float, float)
        Coarse and fine.
    path : Path
        Its suffix determines the format.
    """
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    first, second = figure.subplots(1, 2)
    _coarse(first, ways, labels, thresholds[0])
    _both(second, ways, labels, thresholds)
    for axes in (first, second):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
