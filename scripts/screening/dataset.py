"""Numbered pictures of a split: the same number is always the same picture."""

from __future__ import annotations

import numpy as np

from scripts.screening.decoys import DECOYS
from scripts.screening.scene import Scene, make_scene
from scripts.screening.sources import SPLITS, sources

__all__ = ["HARD_SHARE", "kind_of", "picture"]

# Share of hard negatives among the negatives.
HARD_SHARE = 0.5


def _random(split: str, index: int, purpose: int) -> np.random.Generator:
    # Separate random streams for what a picture shows and how it is drawn: with one stream, the
    # kind would determine the background.
    return np.random.default_rng([SPLITS.index(split), index, purpose])


def kind_of(split: str, index: int) -> str:
    """Return what a picture shows: every other one a code, text twice as often as other decoys."""
    sources(split)
    rng = _random(split, index, 0)
    if index % 2 == 0:
        return "code"
    if rng.random() >= HARD_SHARE:
        return "plain"
    return str(rng.choice([*DECOYS, "text"]))


def picture(split: str, index: int) -> Scene:
    """Return a picture of a split.

    Parameters
    ----------
    split : str
        ``train``, ``validation`` or ``test``.
    index : int
        Its number, from 0 on, without a limit.

    Raises
    ------
    ValueError
        If there is no such split, or the number is negative.
    """
    if index < 0:
        raise ValueError(f"index must not be negative, not {index!r}")
    kind = kind_of(split, index)
    return make_scene(_random(split, index, 1), kind, sources(split))
