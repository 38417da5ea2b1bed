"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions") as BVLC's Caffe model has it.

224x224 BGR pixels less the mean, a 7x7 stem of stride 2, local response normalisation twice, nine
inception modules, whose four branches (1x1; 1x1 and 3x3; 1x1 and 5x5; pool and 1x1) are put side
by side, a global average and one fully connected layer.  Caffe rounds the number of pooling windows
up.  The two auxiliary classifiers serve training only and are left out.

Layers go by Caffe's names without the word inception: ``conv1/7x7_s2``, ``3a/5x5_reduce``, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network

__all__ = ["CLASSES", "INCEPTIONS", "NAME", "SPEC", "build"]

NAME = "googlenet"
CLASSES = 1000

# The channel means of ImageNet that Caffe's users subtract, blue first.
SPEC = InputSpec(shape=(224, 224, 3), resize=256, order="BGR", mean=(104.0, 117.0, 123.0))

# Channels of each module: 1x1; 3x3's reduction and 3x3; 5x5's reduction and 5x5; pool's 1x1.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

# Modules followed by a max pooling of stride 2, and its name.
_POOLS = {"3b": "pool3/3x3_s2", "4e": "pool4/3x3_s2"}


def _inception(
    graph: Builder, name: str, source: str, channels: tuple[int, int, int, int, int, int]
) -> str:
    single, reduce3, out3, reduce5, out5, pooled = channels
    one = graph.conv(f"{name}/1x1", source, single, 1)
    three = graph.conv(f"{name}/3x3_reduce", source, reduce3, 1)
    three = graph.conv(f"{name}/3x3", three, out3, 3, pad=1)
    five = graph.conv(f"{name}/5x5_reduce", source, reduce5, 1)
    five = graph.conv(f"{name}/5x5", five, out5, 5, pad=2)
    pool = graph.max_pool(f"{name}/pool", source, 3, 1, pad=1)
    pool = graph.conv(f"{name}/pool_proj", pool, pooled, 1)
    return graph.concat(f"{name}/output", one, three, five, pool)


def build(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    spec: InputSpec = SPEC,
    width: float = 1.0,
    classes: int = CLASSES,
    labels: tuple[str, ...] = (),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return the float network.

    Parameters
    ----------
    weights : mapping of float arrays, optional
        By the names of `models.graph.builder.Builder`; zeros if not given.
    spec : InputSpec
        Another size of image, or another preparation.
    width : float
        Share of the published number of channels in every convolution, above 0.
    classes : int
    labels, trained, source
        As in `Network`.

    Raises
    ------
    ValueError
        As `Builder`.
    """
    graph = Builder(NAME, spec, weights, width=width)
    last = graph.conv("conv1/7x7_s2", INPUT, 64, 7, stride=2, pad=3)
    last = graph.max_pool("pool1/3x3_s2", last, 3, 2, ceil=True)
    last = graph.lrn("pool1/norm1", last)
    last = graph.conv("conv2/3x3_reduce", last, 64, 1)
    last = graph.conv("conv2/3x3", last, 192, 3, pad=1)
    last = graph.lrn("conv2/norm2", last)
    last = graph.max_pool("pool2/3x3_s2", last, 3, 2, ceil=True)
    for name, channels in INCEPTIONS.items():
        last = _inception(graph, name, last, channels)
        if name in _POOLS:
            last = graph.max_pool(_POOLS[name], last, 3, 2, ceil=True)
    last = graph.global_average("pool5", last)
    graph.fc("loss3/classifier", last, classes, relu=False)
    return graph.network(labels=labels, trained=trained, source=source)
