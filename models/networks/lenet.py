"""LeNet-5 (LeCun et al. 1998) in the form it is taught in today, and Caffe's cifar10_quick.

``lenet5``: 32x32 grey images, two 5x5 convolutions, each followed by pooling, and three fully
connected layers; ReLU and max pooling stand for the original's sigmoids and weighted subsampling,
and every map of the third layer sees all maps of the second.

``cifar10-quick``: 32x32 BGR pixels less their mean, three convolutions of 5x5 with overlapping
pooling, once of the maximum and twice of the average, and two fully connected layers with nothing
between them.  Caffe rounds the number of pooling windows up and cuts the last ones at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network

__all__ = ["CIFAR10_QUICK", "LENET5", "build_cifar10_quick", "build_lenet5"]

LENET5 = InputSpec(shape=(32, 32, 1), resize=32, order="L", mean=(0.0,), std=(255.0,))

# The means of CIFAR-10's training images, blue first.
CIFAR10_QUICK = InputSpec(shape=(32, 32, 3), resize=32, order="BGR", mean=(113.9, 123.0, 125.3))


def build_lenet5(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    labels: tuple[str, ...] = tuple("0123456789"),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return float LeNet-5; parameters as in `models.graph.builder.Builder` and `Network`.

    Raises
    ------
    ValueError
        If a weight is missing or of another shape, or the labels are not ten.
    """
    graph = Builder("lenet5", LENET5, weights)
    last = graph.conv("conv1", INPUT, 6, 5)
    last = graph.max_pool("pool1", last, 2, 2)
    last = graph.conv("conv2", last, 16, 5)
    last = graph.max_pool("pool2", last, 2, 2)
    last = graph.fc("fc3", last, 120)
    last = graph.fc("fc4", last, 84)
    graph.fc("fc5", last, 10, relu=False)
    return graph.network(labels=labels, trained=trained, source=source)


def build_cifar10_quick(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    labels: tuple[str, ...] = (),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return float cifar10_quick; the parameters are as in `build_lenet5`.

    Raises
    ------
    ValueError
        If a weight is missing or of another shape, or the labels are not ten.
    """
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    graph = Builder("cifar10-quick", CIFAR10_QUICK, weights)
    # Caffe pools first and rectifies then; a maximum does not mind the order.
    last = graph.conv("conv1", INPUT, 32, 5, pad=2)
    last = graph.max_pool("pool1", last, 3, 2, ceil=True)
    last = graph.conv("conv2", last, 32, 5, pad=2)
    last = graph.average_pool("pool2", last, 3, 2, ceil=True)
    last = graph.conv("conv3", last, 64, 5, pad=2)
    last = graph.average_pool("pool3", last, 3, 2, ceil=True)
    last = graph.fc("ip1", last, 64, relu=False)
    graph.fc("ip2", last, 10, relu=False)
    return graph.network(labels=labels or tuple(names.split()), trained=trained, source=source)
