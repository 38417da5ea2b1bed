"""A small network with every kind of layer AlexNet has: for tests and for trying things out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.networks.portable_random import PortableRandom
from penstock.models.networks.seeded import seeded

__all__ = ["TINY_SHAPE", "tiny_images", "tiny_net"]

TINY_SHAPE = (39, 39, 3)


def tiny_images(*, count: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth random pixels (count, 39, 39, 3): blobs and edges rather than noise."""
    random = PortableRandom(seed)
    height, width, channels = TINY_SHAPE
    coarse = random.integers(0, 256, (count, height // 6 + 1, width // 6 + 1, channels))
    fine = coarse.repeat(6, axis=1).repeat(6, axis=2)[:, :height, :width]
    noise = random.integers(-20, 21, fine.shape)
    return np.asarray(np.clip(fine + noise, 0, 255), np.uint8)


def tiny_net(images: NDArray[np.uint8] | None = None, *, seed: int = 0, pad: int = 0) -> Network:
    """Return the float network: 39x39x3, three convolutions, ten classes, seeded weights.

    Parameters
    ----------
    images : uint8 array (n, 39, 39, 3), optional
        To standardise the activations on; `tiny_images` otherwise.
    seed : int
    pad : int
        Of conv1.  With 0 raw pixels are the input codes once quantised, with more they are not.
    """
    spec = InputSpec(shape=TINY_SHAPE, resize=39, order="BGR", mean=(104.0, 117.0, 123.0))
    graph = Builder("tiny", spec)
    last = graph.conv("conv1", INPUT, 12, 5, stride=2, pad=pad)
    last = graph.lrn("norm1", last)
    last = graph.max_pool("pool1", last, 3, 2)
    last = graph.conv("conv2", last, 16, 3, pad=1, groups=2)
    last = graph.lrn("norm2", last)
    last = graph.max_pool("pool2", last, 3, 2)
    last = graph.conv("conv3", last, 10, 3, pad=1)
    last = graph.fc("fc4", last, 24)
    graph.fc("fc5", last, 10, relu=False)
    network = graph.network()
    return seeded(network, tiny_images(seed=seed) if images is None else images, seed=seed)
