"""A small network that uses all functions of the array."""

from __future__ import annotations

import numpy as np

from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool, Network
from tests.support.netgen import make_conv, make_lrn, make_network

__all__ = ["small_network"]


def small_network(
    size: tuple[int, int] = (13, 11), channels: tuple[int, int] = (10, 6), *, lrn: bool = True
) -> Network:
    """Return two convolutions, with LRN (if wanted) and pooling between them.

    Parameters
    ----------
    size : (int, int)
        Rows and columns of the images, which have three channels.
    channels : (int, int)
        Output channels of the convolutions.
    lrn : bool
    """
    rng = np.random.default_rng(5)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    first, second = channels
    layers: list[Layer] = [make_conv(rng, "a", INPUT, 3, first, window, 7)]
    if lrn:
        layers.append(make_lrn(rng, "n", "a"))
    layers.append(MaxPool(name="p", inputs=(layers[-1].name,), kernel=3, stride=2))
    layers.append(make_conv(rng, "b", "p", first, second, window))
    return make_network("small", (*size, 3), layers)
