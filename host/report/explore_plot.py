"""Plot of a sweep: images per second against each resource, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Dot", "draw_sweep"]

_FRONT = "#c8553d"
_OTHER = "#9fb8c8"
# Most names in the list beside the panels.
_LISTED = 24


@dataclass(frozen=True)
class Dot:
    """One point of a sweep.

    Parameters
    ----------
    name : str
    rate : float
        Images a second.
    costs : mapping of str to float
        Resources by the label of the panel.
    front : bool
        Whether it is on the Pareto front.
    """

    name: str
    rate: float
    costs: Mapping[str, float]
    front: bool


def draw_sweep(
    path: Path,
    dots: Sequence[Dot],
    *,
    title: str,
    limits: Mapping[str, float],
    form: str,
) -> None:
    """Write the plot.

    Parameters
    ----------
    path : Path
    dots : sequence of Dot
        At least one.
    title : str
    limits : mapping of str to float
        The device's resources by the label of the panel; panels without a limit are left out.
    form : str
        ``png`` or ``svg``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    labels = list(dots[0].costs)
    best = sorted((dot for dot in dots if dot.front), key=lambda dot: -dot.rate)
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": title}):
        figure = Figure(figsize=(4.0 * len(labels) + 3.2, 4.8), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(
            1, len(labels) + 1, width_ratios=[4.0] * len(labels) + [2.4], squeeze=False
        )[0]
        for axes, label in zip(panels, labels):
            rest = [dot for dot in dots if not dot.front]
            for shown, colour, size in ((rest, _OTHER, 5), (best, _FRONT, 6)):
                axes.plot(
                    [dot.costs[label] for dot in shown],
                    [dot.rate for dot in shown],
                    "o",
                    color=colour,
                    markersize=size,
                )
            for number, dot in enumerate(best[:_LISTED], 1):
                axes.annotate(
                    str(number),
                    (dot.costs[label], dot.rate),
                    xytext=(5, 3),
                    textcoords="offset points",
                    fontsize=8,
                )
            most = max(dot.costs[label] for dot in dots)
            if label in limits:
                axes.axvline(limits[label], color="black", linewidth=1, linestyle="--")
                axes.annotate(
                    f"the device has {limits[label]:g}",
                    (limits[label], 0.02),
                    xycoords=("data", "axes fraction"),
                    xytext=(-3, 0),
                    textcoords="offset points",
                    rotation=90,
                    ha="right",
                    va="bottom",
                    fontsize=8,
                )
                most = max(most, limits[label])
            axes.set(xlabel=label, xlim=(0, 1.08 * most), ylim=(0, None))
            axes.margins(y=0.08)
            axes.grid(alpha=0.2)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("images a second, predicted")
        lines = [f"{number}  {dot.name}" for number, dot in enumerate(best[:_LISTED], 1)]
        if len(best) > _LISTED:
            lines.append(f"and {len(best) - _LISTED} more")
        panels[-1].axis("off")
        panels[-1].set_title("Pareto front", loc="left")
        panels[-1].text(0, 0.98, "\n".join(lines), va="top", transform=panels[-1].transAxes)
        figure.savefig(path, format=form, dpi=130)
