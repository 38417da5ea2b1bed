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

from penstock.models.graph.checked_weights import checked, checked_labels, placeholders
from penstock.models.graph.graph import (
    INPUT,
    Conv,
    ConvGeometry,
    GlobalAveragePool,
    InputSpec,
    Layer,
    MaxPool,
    Network,
    ceil_pad,
    infer_shapes,
)
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


def _convolutions(stage: _Stage, number: int) -> list[tuple[str, ConvGeometry]]:
    """Name and geometry of a stage's three convolutions."""
    first = ConvGeometry(
        kernel=(stage.kernel, stage.kernel),
        stride=(stage.stride, stage.stride),
        pad=(stage.pad,) * 4,
    )
    single = ConvGeometry(kernel=(1, 1))
    return [(stage.conv, first), *((f"cccp{2 * number - i}", single) for i in (1, 0))]


def weight_shapes(classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight (out_ch, in_ch, kh, kw) and bias (out_ch,) by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = SPEC.shape[2]
    for number, stage in enumerate(_STAGES, start=1):
        for (name, geometry), outputs in zip(_convolutions(stage, number), stage.outputs):
            count = classes if name == "cccp8" else outputs
            shapes[f"{name}.weight"] = (count, inputs, *geometry.kernel)
            shapes[f"{name}.bias"] = (count,)
            inputs = count
    return shapes


def build(
    weights: Mapping[str, NDArray[Any]],
    *,
    labels: tuple[str, ...] = (),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return the float network with these weights.

    Parameters
    ----------
    weights : mapping of float32 arrays
        By the names and of the shapes of `weight_shapes`; the number of classes is free.
    labels : tuple of str
        ImageNet's where there are 1000 classes and none are given.
    trained, source
        As in `Network`.

    Raises
    ------
    ValueError
        If a weight is missing or has the wrong shape, or the labels are not one for each class.
    """
    classes = len(weights["cccp8.bias"]) if "cccp8.bias" in weights else CLASSES
    arrays = checked(NAME, weights, weight_shapes(classes))
    layers: list[Layer] = []
    last = INPUT
    size = SPEC.shape[:2]
    for number, stage in enumerate(_STAGES, start=1):
        for name, geometry in _convolutions(stage, number):
            layers.append(
                Conv(
                    name=name,
                    inputs=(last,),
                    geometry=geometry,
                    weight=arrays[f"{name}.weight"],
                    bias=arrays[f"{name}.bias"],
                )
            )
            last = name
            size = geometry.out_size(*size)
        if stage is _STAGES[-1]:
            layers.append(GlobalAveragePool(name=f"pool{number}", inputs=(last,)))
            continue
        pool = MaxPool(
            name=f"pool{number}", inputs=(last,), kernel=3, stride=2, pad=ceil_pad(size, 3, 2)
        )
        layers.append(pool)
        last = pool.name
        size = pool.geometry.out_size(*size)
    network = Network(
        name=NAME,
        input=SPEC,
        layers=tuple(layers),
        labels=checked_labels(NAME, labels, classes),
        trained=trained,
        source=source,
    )
    infer_shapes(network)
    return network


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
    return seeded(build(placeholders(weight_shapes())), images, seed=seed, progress=progress)
