"""Network in Network for ImageNet as a graph: the model of Caffe's model zoo.

Lin, Chen and Yan, "Network In Network" (2013).  Four convolutions, each followed by two of 1x1
(``cccp``, the paper's name: cascaded cross-channel parametric pooling); three overlapping max
poolings, whose windows Caffe rounds up; a global average for each class instead of fully connected
layers.  224x224 BGR pixels less the mean.

::

    conv1 11x11/4   cccp1  cccp2   54x54x96     pool1  27x27
    conv2 5x5       cccp3  cccp4   27x27x256    pool2  13x13
    conv3 3x3       cccp5  cccp6   13x13x384    pool3  6x6
    conv4 3x3       cccp7  cccp8   6x6x1024, 6x6x1000       pool4, the global average  1x1x1000

Weights go by the names ``conv1.weight``, ``conv1.bias``, ``cccp1.weight``, ... ``cccp8.bias``;
`weight_shapes` lists them with their shapes.
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

__all__ = ["CLASSES", "NAME", "SPEC", "build", "seeded_nin", "weight_shapes"]

NAME = "nin"
CLASSES = 1000

# Caffe's channel means of ImageNet, blue first, as for AlexNet.
SPEC = InputSpec(shape=(224, 224, 3), resize=256, order="BGR", mean=(104.0, 117.0, 123.0))


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A convolution and the two 1x1 ones after it; output channels of all three."""

    conv: str
    kernel: int
    stride: int = 1
    pad: int = 0
    outputs: tuple[int, int, int]


_STAGES = (
    _Stage(conv="conv1", kernel=11, stride=4, outputs=(96, 96, 96)),
    _Stage(conv="conv2", kernel=5, pad=2, outputs=(256, 256, 256)),
    _Stage(conv="conv3", kernel=3, pad=1, outputs=(384, 384, 384)),
    _Stage(conv="conv4", kernel=3, pad=1, outputs=(1024, 1024, CLASSES)),
)


def _graph(classes: int, weights: Mapping[str, NDArray[Any]] | None = None) -> Builder:
    graph = Builder(NAME, SPEC, weights)
    last = INPUT
    for number, stage in enumerate(_STAGES, start=1):
        first, second, third = stage.outputs
        final = stage is _STAGES[-1]
        last = graph.conv(stage.conv, last, first, stage.kernel, stride=stage.stride, pad=stage.pad)
        last = graph.conv(f"cccp{2 * number - 1}", last, second, 1)
        last = graph.conv(f"cccp{2 * number}", last, classes if final else third, 1)
        if final:
            graph.global_average(f"pool{number}", last)
        else:
            last = graph.max_pool(f"pool{number}", last, 3, 2, ceil=True)
    return graph


def weight_shapes(classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight (out_ch, in_ch, kh, kw) and bias (out_ch,) by name."""
    return _graph(classes).weight_shapes()


def build(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
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
    labels : tuple of str
        ImageNet's where there are 1000 classes and none are given.
    trained, source
        As in `Network`.

    Raises
    ------
    ValueError
        If a weight is missing or has the wrong shape, or the labels are not one for each class.
    """
    classes = len(weights["cccp8.bias"]) if weights and "cccp8.bias" in weights else CLASSES
    return _graph(classes, weights).network(labels=labels, trained=trained, source=source)


def seeded_nin(
    images: NDArray[np.uint8],
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Network:
    """Return the network with seeded random weights, alive through all layers on `images`.

    Parameters
    ----------
    images : uint8 array (n, 224, 224, 3)
        BGR pixels; at least one, better two or more.
    seed : int
    progress : callable, optional
        Called with each layer's name before it is filled.
    """
    return seeded(build(), images, seed=seed, progress=progress)
