"""One layer of AlexNet, or a whole network with branches, scaled down: the same structure, fewer
positions and channels.

The structure of a layer: kernel, stride, padding, groups, and the LRN and pooling that follow.
Channels are few, but not multiples of common array sizes, and cover several channel blocks of a 4x4
array; maps are just large enough for two pooling windows that overlap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.networks import googlenet, resnet
from penstock.models.networks.alexnet import BVLC
from penstock.models.networks.portable_random import PortableRandom
from penstock.models.networks.seeded import seeded
from penstock.models.quant.quantize import quantise

__all__ = ["SCALED_LAYERS", "SCALED_NETWORKS", "scaled_layer", "scaled_network"]

# Height and width, input channels, output channels.
_SIZES = {
    "conv1": (31, 3, 10),
    "conv2": (6, 6, 12),
    "conv3": (5, 10, 9),
    "conv4": (5, 12, 10),
    "conv5": (6, 12, 10),
}

SCALED_LAYERS = tuple(_SIZES)


def scaled_layer(name: str, *, seed: int = 0) -> Network:
    """Return a quantised network of one convolution of BVLC AlexNet and what follows it.

    Parameters
    ----------
    name : str
        One of `SCALED_LAYERS`.
    seed : int
        Of the weights.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    if name not in _SIZES:
        raise ValueError(f"layer must be one of {', '.join(_SIZES)}, not {name!r}")
    (stage,) = (stage for stage in BVLC.stages if stage.name == name)
    size, in_ch, out_ch = _SIZES[name]
    shape = (size, size, in_ch)
    spec = InputSpec(shape=shape, resize=size, mean=(0.0,) * in_ch, std=(1.0,) * in_ch)
    graph = Builder(f"{name} scaled down", spec)
    stage.add_to(graph, INPUT, out_ch)
    # It ends in a map, which has no classes.
    network = replace(graph.network(source="seeded"), labels=())
    images = PortableRandom(seed).integers(0, 256, (4, *shape)).astype(np.uint8)
    return quantise(seeded(network, images, seed=seed), images)


# Builder, rows and columns of its images, share of its channels.
_NETWORKS = {"googlenet": (googlenet, 64, 0.125), "resnet18": (resnet, 40, 0.11)}

SCALED_NETWORKS = tuple(_NETWORKS)


def scaled_network(name: str, *, seed: int = 0) -> Network:
    """Return a quantised network with all layers of a published one and seeded weights.

    Parameters
    ----------
    name : str
        One of `SCALED_NETWORKS`.
    seed : int
        Of weights and calibration.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if name not in _NETWORKS:
        raise ValueError(f"network must be one of {', '.join(_NETWORKS)}, not {name!r}")
    module, size, width = _NETWORKS[name]
    spec = replace(module.SPEC, shape=(size, size, 3), resize=size)
    network = module.build(spec=spec, width=width, classes=10)
    random = PortableRandom(seed)
    coarse = random.integers(0, 256, (3, size // 8, size // 8, 3))
    noise = random.integers(-20, 21, (3, size, size, 3))
    blobs = coarse.repeat(8, axis=1).repeat(8, axis=2)
    images = np.clip(blobs + noise, 0, 255).astype(np.uint8)
    return quantise(seeded(network, images, seed=seed), images)
