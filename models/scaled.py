"""One layer of AlexNet in small: the same structure, fewer positions and channels.

What a layer's structure is: kernel, stride, padding, groups, and the LRN and pooling that follow.
Channels are few, but not multiples of common array sizes, and cover several channel blocks of a 4x4
array; maps are just large enough for two pooling windows that overlap.
"""

from __future__ import annotations

import numpy as np

from models.alexnet import BVLC
from models.graph import INPUT, Conv, ConvGeometry, InputSpec, Layer, Lrn, MaxPool, Network
from models.quantize import quantise
from models.seeded import seeded

__all__ = ["SCALED_LAYERS", "scaled_layer"]

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
    layers: list[Layer] = [
        Conv(
            name=name,
            inputs=(INPUT,),
            geometry=ConvGeometry(
                kernel=(stage.kernel, stage.kernel),
                stride=(stage.stride, stage.stride),
                pad=(stage.pad,) * 4,
                groups=stage.groups,
            ),
            weight=np.zeros(
                (out_ch, in_ch // stage.groups, stage.kernel, stage.kernel), np.float32
            ),
            bias=np.zeros(out_ch, np.float32),
        )
    ]
    if stage.lrn:
        layers.append(Lrn(name=name.replace("conv", "norm"), inputs=(name,)))
    if stage.pool:
        last = layers[-1].name
        pool = name.replace("conv", "pool")
        layers.append(MaxPool(name=pool, inputs=(last,), kernel=3, stride=2))
    shape = (size, size, in_ch)
    network = Network(
        name=f"{name} in small",
        input=InputSpec(shape=shape, resize=size, mean=(0.0,) * in_ch, std=(1.0,) * in_ch),
        layers=tuple(layers),
        source="seeded",
    )
    images = np.random.default_rng(seed).integers(0, 256, (4, *shape), np.uint8)
    return quantise(seeded(network, images, seed=seed), images)
