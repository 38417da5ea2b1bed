"""Thresholds from the scores of validation pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOST", "PASSED_ON", "WRONG", "coarse_threshold", "fine_threshold"]

# Share of the validation codes that the coarse stage may miss; the fine stage never sees them.
LOST = 0.004

# Share of the validation pictures without a code that the coarse stage may flag if flagging more
# would find no more codes.
PASSED_ON = 0.02

# Share of the confirmed validation pictures that may show no code.
WRONG = 0.005

Scores = NDArray[np.float64]
Labels = NDArray[np.uint8]


def _between(low: float, high: float) -> float:
    """A round number above one score and not above the next."""
    middle = (low + high) / 2
    for digits in range(1, 9):
        rounded = round(middle, digits)
        if low < rounded <= high:
            return rounded
    return high


def coarse_threshold(scores: Scores, labels: Labels) -> float:
    """Return the threshold that flags enough codes and passes few others on.

    It is the highest that flags enough codes, lowered as far as the allowed share of others
    permits: a missed code is lost, a wrong flag costs only time.
    """
    codes, others = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    lost, passed = int(LOST * len(codes)), int(PASSED_ON * len(others))
    below = codes[lost - 1] if lost else 0.0
    enough = _between(max(below, codes[lost] / 2), codes[lost])
    # Not above the others that may be flagged, but above the next one.
    low = others[len(others) - passed - 1]
    higher = others[others > low]
    few = _between(low, float(higher[0]) if len(higher) else 1.0)
    return min(enough, few)


def _odds(score: float) -> float:
    return float(np.log(score / (1 - score)))


def fine_threshold(scores: Scores, labels: Labels) -> float:
    """Return a threshold at which few of the confirmed pictures show no code.

    It is the lowest such threshold or, if a higher one still confirms enough codes, the middle
    between it and the highest that does, in log-odds.

    Parameters
    ----------
    scores : ndarray of float, (n,)
        Of the flagged pictures.
    labels : ndarray, (n,)
    """
    order = np.argsort(scores)[::-1]
    wrong = np.cumsum(labels[order] == 0)
    # A threshold cannot separate equal scores.
    parted = np.append(np.diff(scores[order]) != 0, True)
    good = np.flatnonzero((wrong <= WRONG * np.arange(1, len(order) + 1)) & parted)
    if not len(good):
        raise ValueError("the fine stage cannot tell codes from anything else")
    last = int(good[-1])
    high = float(scores[order[last]])
    low = float(scores[order[last + 1]]) if last + 1 < len(order) else high / 2
    least = _between(low, high)
    codes = np.sort(scores[labels == 1])
    most = float(codes[int(LOST * len(codes))])
    if most <= least:
        return least
    middle = (_odds(least) + _odds(min(most, 1 - 1e-9))) / 2
    return _between(least, min(most, 2 / (1 + float(np.exp(-middle))) - least))
