"""Thresholds from the scores of validation pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOST", "WRONG", "coarse_threshold", "fine_threshold"]

# Of the validation codes, how many the coarse stage may let pass; what it lets pass is lost.
LOST = 0.004

# Of the validation pictures that are confirmed, how many may show no code.
WRONG = 0.005

Scores = NDArray[np.float64]
Labels = NDArray[np.uint8]


def _between(low: float, high: float) -> float:
    """A round threshold above one score and not above the next."""
    middle = (low + high) / 2
    for digits in range(1, 9):
        rounded = round(middle, digits)
        if low < rounded <= high:
            return rounded
    return high


def coarse_threshold(scores: Scores, labels: Labels) -> float:
    """Return the highest threshold that flags enough codes."""
    codes = np.sort(scores[labels == 1])
    first = int(LOST * len(codes))
    below = codes[first - 1] if first else 0.0
    return _between(max(below, codes[first] / 2), codes[first])


def fine_threshold(scores: Scores, labels: Labels) -> float:
    """Return the lowest threshold at which few of the confirmed pictures show no code.

    Parameters
    ----------
    scores : ndarray of float, (n,)
        Of the flagged pictures.
    labels : ndarray, (n,)
    """
    order = np.argsort(scores)[::-1]
    wrong = np.cumsum(labels[order] == 0)
    # A threshold cannot part equal scores.
    parted = np.append(np.diff(scores[order]) != 0, True)
    good = np.flatnonzero((wrong <= WRONG * np.arange(1, len(order) + 1)) & parted)
    if not len(good):
        raise ValueError("the fine stage cannot tell codes from anything else")
    last = int(good[-1])
    high = float(scores[order[last]])
    low = float(scores[order[last + 1]]) if last + 1 < len(order) else high / 2
    return _between(low, high)
