"""Networks on the shipped photographs, made once in a test process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.host.inputs.preprocess import load_pixels
from penstock.models.data import shipped
from penstock.models.graph.graph import InputSpec, Network
from penstock.models.networks.alexnet import BVLC, seeded_alexnet
from penstock.models.networks.nin import SPEC, seeded_nin
from penstock.models.quant.quantize import quantise

__all__ = ["PHOTOS", "alexnet", "nin", "photographs", "quantised_alexnet", "quantised_nin"]

PHOTOS = sorted(shipped.PHOTOS.glob("*.jpg"))


def photographs(spec: InputSpec) -> NDArray[np.uint8]:
    """Return the pixels of all shipped photographs (n, height, width, channels)."""
    return np.stack([load_pixels(path, spec) for path in PHOTOS])


@lru_cache(maxsize=1)
def alexnet() -> Network:
    """Return float AlexNet with seeded weights."""
    return seeded_alexnet(photographs(BVLC.input))


@lru_cache(maxsize=1)
def quantised_alexnet() -> Network:
    """Return quantised AlexNet with seeded weights."""
    return quantise(alexnet(), photographs(BVLC.input))


@lru_cache(maxsize=1)
def nin() -> Network:
    """Return float Network in Network with seeded weights."""
    return seeded_nin(photographs(SPEC))


@lru_cache(maxsize=1)
def quantised_nin() -> Network:
    """Return quantised Network in Network with seeded weights."""
    return quantise(nin(), photographs(SPEC))
