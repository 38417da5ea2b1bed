"""A small network that uses all functions of the array."""

from __future__ import annotations

import numpy as np

from penstock.models.graph.graph import INPUT, ConvGeometry, MaxPool, Network
from tests.support.netgen import make_conv, make_lrn, make_network

__all__ = ["small_network"]


def small_network() -> Network:
    """Return two convolutions, with LRN and pooling between them."""
    rng = np.random.default_rng(5)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    return make_network(
        "small",
        (13, 11, 3),
        [
            make_conv(rng, "a", INPUT, 3, 10, window, 7),
            make_lrn(rng, "n", "a"),
            MaxPool(name="p", inputs=("n",), kernel=3, stride=2),
            make_conv(rng, "b", "p", 10, 6, window),
        ],
    )
