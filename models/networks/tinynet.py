"""A small network with every kind of layer AlexNet has: for tests and for trying things out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.models.data.labels import class_labels
from penstock.models.graph.graph import (
    INPUT,
    Conv,
    ConvGeometry,
    Fc,
    InputSpec,
    Lrn,
    MaxPool,
    Network,
)
from penstock.models.networks.seeded import seeded

__all__ = ["TINY_SHAPE", "tiny_images", "tiny_net"]

TINY_SHAPE = (39, 39, 3)


def _conv(
    name: str, source: str, shape: tuple[int, int, int, int], *, pad: int, stride: int, groups: int
) -> Conv:
    return Conv(
        name=name,
        inputs=(source,),
        geometry=ConvGeometry(
            kernel=shape[2:], stride=(stride, stride), pad=(pad,) * 4, groups=groups
        ),
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(shape[0], np.float32),
    )


def _fc(name: str, source: str, outputs: int, inputs: int, *, relu: bool) -> Fc:
    return Fc(
        name=name,
        inputs=(source,),
        weight=np.zeros((outputs, inputs), np.float32),
        bias=np.zeros(outputs, np.float32),
        relu=relu,
    )


def tiny_images(*, count: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth random pixels (count, 39, 39, 3): blobs and edges rather than noise."""
    rng = np.random.default_rng(seed)
    height, width, channels = TINY_SHAPE
    coarse = rng.integers(0, 256, (count, height // 6 + 1, width // 6 + 1, channels))
    fine = coarse.repeat(6, axis=1).repeat(6, axis=2)[:, :height, :width]
    noise = rng.integers(-20, 21, fine.shape)
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
    wide = (39 + 2 * pad - 5) // 2 + 1
    pooled = ((wide - 3) // 2 + 1 - 3) // 2 + 1
    layers = (
        _conv("conv1", INPUT, (12, 3, 5, 5), pad=pad, stride=2, groups=1),
        Lrn(name="norm1", inputs=("conv1",)),
        MaxPool(name="pool1", inputs=("norm1",), kernel=3, stride=2),
        _conv("conv2", "pool1", (16, 6, 3, 3), pad=1, stride=1, groups=2),
        Lrn(name="norm2", inputs=("conv2",)),
        MaxPool(name="pool2", inputs=("norm2",), kernel=3, stride=2),
        _conv("conv3", "pool2", (10, 16, 3, 3), pad=1, stride=1, groups=1),
        _fc("fc4", "conv3", 24, 10 * pooled * pooled, relu=True),
        _fc("fc5", "fc4", 10, 24, relu=False),
    )
    network = Network(
        name="tiny",
        input=InputSpec(shape=TINY_SHAPE, resize=39, order="BGR", mean=(104.0, 117.0, 123.0)),
        layers=layers,
        labels=class_labels(10),
    )
    return seeded(network, tiny_images(seed=seed) if images is None else images, seed=seed)
