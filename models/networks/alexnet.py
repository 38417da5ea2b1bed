"""AlexNet as a graph: the BVLC (Caffe) reference model, and torchvision's variant.

``BVLC`` is the network of Krizhevsky et al. 2012 as Caffe ships it: 227x227 BGR pixels less the
mean, two groups in conv2, conv4 and conv5, local response normalisation after conv1 and conv2.
``TORCHVISION`` is "one weird trick" AlexNet (Krizhevsky 2014): 224x224 RGB, no groups, no
normalisation, fewer channels.

Weights go by the names ``conv1.weight``, ``conv1.bias``, ... ``fc8.bias``; `weight_shapes` lists
them with their shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.networks.seeded import seeded

__all__ = ["BVLC", "CLASSES", "TORCHVISION", "Variant", "build", "seeded_alexnet", "weight_shapes"]

CLASSES = 1000
_HIDDEN = 4096


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """One convolution with what follows it."""

    name: str
    outputs: int
    inputs: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    lrn: bool = False
    pool: bool = False

    def add_to(self, graph: Builder, source: str, outputs: int | None = None) -> str:
        """Add these layers behind `source`; return the last one's name.

        `outputs` takes the place of the stage's own number of channels.
        """
        last = graph.conv(
            self.name,
            source,
            self.outputs if outputs is None else outputs,
            self.kernel,
            stride=self.stride,
            pad=self.pad,
            groups=self.groups,
        )
        if self.lrn:
            last = graph.lrn(self.name.replace("conv", "norm"), last)
        if self.pool:
            last = graph.max_pool(self.name.replace("conv", "pool"), last, 3, 2)
        return last


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One published AlexNet.

    Parameters
    ----------
    name : str
    input : InputSpec
    stages : tuple of convolutions, conv1 to conv5
    """

    name: str
    input: InputSpec
    stages: tuple[_Stage, ...]


BVLC = Variant(
    name="alexnet",
    # The channel means of ImageNet that Caffe's users subtract, blue first.
    input=InputSpec(shape=(227, 227, 3), resize=256, order="BGR", mean=(104.0, 117.0, 123.0)),
    stages=(
        _Stage(name="conv1", outputs=96, inputs=3, kernel=11, stride=4, lrn=True, pool=True),
        _Stage(
            name="conv2", outputs=256, inputs=96, kernel=5, pad=2, groups=2, lrn=True, pool=True
        ),
        _Stage(name="conv3", outputs=384, inputs=256, kernel=3, pad=1),
        _Stage(name="conv4", outputs=384, inputs=384, kernel=3, pad=1, groups=2),
        _Stage(name="conv5", outputs=256, inputs=384, kernel=3, pad=1, groups=2, pool=True),
    ),
)

TORCHVISION = Variant(
    name="alexnet-torchvision",
    input=InputSpec(
        shape=(224, 224, 3),
        resize=256,
        order="RGB",
        # torchvision's (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225), in pixel units.
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    stages=(
        _Stage(name="conv1", outputs=64, inputs=3, kernel=11, stride=4, pad=2, pool=True),
        _Stage(name="conv2", outputs=192, inputs=64, kernel=5, pad=2, pool=True),
        _Stage(name="conv3", outputs=384, inputs=192, kernel=3, pad=1),
        _Stage(name="conv4", outputs=256, inputs=384, kernel=3, pad=1),
        _Stage(name="conv5", outputs=256, inputs=256, kernel=3, pad=1, pool=True),
    ),
)


def _graph(
    variant: Variant, classes: int, weights: Mapping[str, NDArray[Any]] | None = None
) -> Builder:
    graph = Builder(variant.name, variant.input, weights)
    last = INPUT
    for stage in variant.stages:
        last = stage.add_to(graph, last)
    last = graph.fc("fc6", last, _HIDDEN)
    last = graph.fc("fc7", last, _HIDDEN)
    graph.fc("fc8", last, classes, relu=False)
    return graph


def weight_shapes(variant: Variant, classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight and bias by name.

    Convolutions are (out_ch, in_ch / groups, kh, kw), fully connected layers (out, in) with `in`
    flattened channel-major; both variants end in 6x6x256.
    """
    return _graph(variant, classes).weight_shapes()


def build(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    variant: Variant = BVLC,
    labels: tuple[str, ...] = (),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return the float network with these weights.

    Parameters
    ----------
    weights : mapping of float32 arrays, optional
        By the names and of the shapes of `weight_shapes`; the number of classes is free.  Zeros if
        not given.
    variant : Variant
    labels : tuple of str
        ImageNet's where there are 1000 classes and none are given.
    trained, source
        As in `Network`.

    Raises
    ------
    ValueError
        If a weight is missing or has the wrong shape, or the labels are not one for each class.
    """
    classes = len(weights["fc8.bias"]) if weights and "fc8.bias" in weights else CLASSES
    graph = _graph(variant, classes, weights)
    return graph.network(labels=labels, trained=trained, source=source)


def seeded_alexnet(
    images: NDArray[np.uint8],
    *,
    seed: int = 0,
    variant: Variant = BVLC,
    progress: Callable[[str], None] | None = None,
) -> Network:
    """Return AlexNet with seeded random weights, alive through all layers on `images`.

    Parameters
    ----------
    images : uint8 array (n, height, width, 3)
        Pixels in the variant's channel order; at least one, better two or more.
    seed : int
    variant : Variant
    progress : callable, optional
        Called with each layer's name before it is filled.
    """
    return seeded(build(variant=variant), images, seed=seed, progress=progress)
