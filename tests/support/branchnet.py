"""A small network with branches: every kind of join in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
)
from penstock.models.networks.seeded import seeded

__all__ = ["branch_images", "branch_net"]

SHAPE = (26, 23, 3)


def _conv(name: str, source: str, channels: tuple[int, int], kernel: int, **settings: Any) -> Conv:
    stride = settings.pop("stride", 1)
    pad = settings.pop("pad", kernel // 2)
    return Conv(
        name=name,
        inputs=(source,),
        geometry=ConvGeometry(kernel=(kernel, kernel), stride=(stride, stride), pad=(pad,) * 4),
        weight=np.zeros((channels[1], channels[0], kernel, kernel), np.float32),
        bias=np.zeros(channels[1], np.float32),
        **settings,
    )


def branch_images(*, count: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Return random blobs (count, 26, 23, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6, 3)).repeat(5, axis=1).repeat(5, axis=2)
    noise = rng.integers(-20, 21, (count, *SHAPE))
    return np.asarray(np.clip(coarse[:, : SHAPE[0], : SHAPE[1]] + noise, 0, 255), np.uint8)


def branch_net(*, seed: int = 0) -> Network:
    """Return the float network.

    A 7x7 stem of stride 2 with LRN; an inception module whose fourth branch pools with stride 1;
    a residual block with a projection, one with the identity; two average poolings, of which the
    second has cut windows, and global ones on the side; a linear layer before the last.
    """
    layers: tuple[Layer, ...] = (
        _conv("stem", INPUT, (3, 10), 7, stride=2, pad=3),
        Lrn(name="norm", inputs=("stem",)),
        _conv("a1", "norm", (10, 5), 1),
        _conv("b1", "norm", (10, 4), 1),
        _conv("b2", "b1", (4, 7), 3),
        MaxPool(name="c1", inputs=("norm",), kernel=3, stride=1, pad=(1, 1, 1, 1)),
        _conv("c2", "c1", (10, 6), 1),
        Concat(name="inception", inputs=("a1", "b2", "c2")),
        MaxPool(name="pool", inputs=("inception",), kernel=3, stride=2, pad=(0, 0, 1, 1)),
        _conv("r1", "pool", (18, 12), 3, relu=False),
        _conv("r2", "pool", (18, 12), 1, relu=False),
        Add(name="sum1", inputs=("r1", "r2")),
        _conv("s1", "sum1", (12, 12), 3, relu=False),
        Add(name="sum2", inputs=("s1", "sum1"), relu=False),
        AveragePool(name="mean1", inputs=("sum2",), kernel=(2, 3), stride=(1, 1)),
        _conv("t1", "mean1", (12, 9), 3, relu=False),
        Concat(name="mixed", inputs=("mean1", "t1")),
        AveragePool(
            name="mean2", inputs=("mixed",), kernel=(3, 3), stride=(2, 2), pad=(1, 0, 1, 1)
        ),
        GlobalAveragePool(name="whole", inputs=("sum1",)),
        GlobalAveragePool(name="signed", inputs=("mean2",)),
        Fc(
            name="fc1",
            inputs=("mean2",),
            weight=np.zeros((15, 21 * 6), np.float32),
            bias=np.zeros(15, np.float32),
            relu=False,
        ),
        Fc(
            name="fc2",
            inputs=("fc1",),
            weight=np.zeros((6, 15), np.float32),
            bias=np.zeros(6, np.float32),
            relu=False,
        ),
    )
    network = Network(
        name="branches",
        input=InputSpec(shape=SHAPE, resize=26, order="BGR", mean=(104.0, 117.0, 123.0)),
        layers=layers,
        labels=tuple(f"class {i}" for i in range(6)),
    )
    return seeded(network, branch_images(seed=seed), seed=seed)
