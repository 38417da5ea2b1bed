"""The page of an evaluation's figures: docs/screening_results.md."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["page"]

_COLUMNS = ("coarse recall", "passed on", "precision", "recall", "right")


def page(
    ways: Mapping[str, Mapping[str, float]],
    kinds: Mapping[str, tuple[int, int, int]],
    thresholds: tuple[float, float],
    sources: tuple[str, str],
    picture: str,
) -> str:
    """Return the page, Markdown.

    Parameters
    ----------
    ways : mapping
        Figures by the way both stages were run (`scripts.screening.evaluate.figures`).
    kinds : mapping
        Pictures, flagged and confirmed ones of each kind.
    thresholds : (float, float)
        Coarse and fine.
    sources : (str, str)
        Where the coarse and the fine network's weights come from.
    picture : str
        The plot's file beside the page; empty if there is none.
    """
    lines = ["# Results of the screening model on the test pictures", ""]
    lines += [
        "Written by `python -m scripts.screening.evaluate`; [screening.md](screening.md) says"
    ]
    lines += ["how the pictures are made.", ""]
    lines += [f"* coarse: {sources[0]}; flags from {thresholds[0]:g} on"]
    lines += [f"* fine: {sources[1]}; confirms from {thresholds[1]:g} on", ""]
    lines += ["| run as | pictures | " + " | ".join(_COLUMNS) + " |"]
    lines += ["|---" * (len(_COLUMNS) + 2) + "|"]
    for name, row in ways.items():
        shown = " | ".join(f"{row[column]:.2%}" for column in _COLUMNS)
        lines.append(f"| {name} | {int(row['pictures'])} | {shown} |")
    lines += [
        "",
        "Coarse recall: codes flagged. Passed on: other pictures flagged. Precision, recall",
    ]
    lines += ["and right are those of both stages together.", ""]
    if picture:
        lines += [f"![what each stage trades for what]({picture})", ""]
    lines += ["By kind, onnxruntime in int8:", ""]
    lines += ["| shows | pictures | flagged | confirmed |", "|---|---|---|---|"]
    for kind, (count, flagged, confirmed) in kinds.items():
        lines.append(f"| {kind} | {count} | {flagged} | {confirmed} |")
    return "\n".join(lines) + "\n"
