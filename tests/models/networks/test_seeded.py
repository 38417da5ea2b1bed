"""Seeded weights: equal to the published digest, or with a warning that they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from penstock.models.networks import seeded
from penstock.models.networks.seeded import other_numbers
from penstock.models.networks.tinynet import tiny_net


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    other_numbers.cache_clear()
    yield
    other_numbers.cache_clear()


def test_these_are_the_published_numbers() -> None:
    assert other_numbers() == ""
    assert tiny_net().source == "random weights, seed 0: the labels mean nothing"
    drawn = np.random.default_rng(0).standard_normal(1 << 18, dtype=np.float32)
    digest = hashlib.sha256(drawn.astype("<f4").tobytes()).hexdigest()
    assert digest.startswith("1e427278312c40a9")


def test_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NumPy 1.21's are."""
    plain = seeded._random

    def other(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = plain(rng, shape)
        values.reshape(-1)[-1] += 1
        return values

    monkeypatch.setattr(seeded, "_random", other)
    assert f"NumPy {np.__version__} draws other random weights" in other_numbers()
    assert "draws other random weights" in tiny_net().source
