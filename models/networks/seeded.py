"""Seeded random weights that keep a network alive: useful activations without training.

Plain random weights die or saturate within a few layers, and a deep random network soon answers
the same whatever it sees.  Here each layer's outputs are standardised on given images as the
weights are drawn (the data-dependent initialisation of Salimans and Kingma 2016), so that about
two fifths of the activations of each convolution are positive and images stay apart to the end.

The same seed and images give the same bits everywhere: the numbers are
`models.networks.portable_random`'s, the sums `models.golden.reproducible`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.ops import flatten, im2col, normalise, run_layer
from penstock.models.golden.reproducible import column_moments, matmul
from penstock.models.graph.graph import INPUT, Conv, Fc, Layer, Lrn, Network
from penstock.models.networks.portable_random import PortableRandom

__all__ = ["seeded"]

Array = NDArray[Any]

# Standard deviation before ReLU.  Trained AlexNet works on pixel scale: activations in the tens and
# hundreds ahead of LRN, whose alpha of 1e-4 would do nothing to small ones.
_SPREAD_BEFORE_LRN = 80.0
_SPREAD = 12.0
_SPREAD_LOGITS = 3.0

# Mean before ReLU and its spread from channel to channel, in standard deviations.
_OFFSET_MEAN = -0.25
_OFFSET_SPREAD = 0.3

# What images have in common is taken out of fully connected layers; where next to nothing is left
# (one image, or equal ones), what is left is not blown up further than this.
_LEAST_DIFFERENCE = 0.05


def _conv_outputs(layer: Conv, maps: list[Array]) -> Array:
    """Outputs before the bias, float64 (images * positions, out_ch)."""
    groups = layer.geometry.groups
    out_ch, depth = layer.weight.shape[:2]
    per_group = out_ch // groups
    kernels = layer.weight.transpose(0, 2, 3, 1).reshape(out_ch, -1)
    rows = []
    for values in maps:
        parts = []
        for group in range(groups):
            part = values[:, :, group * depth : (group + 1) * depth]
            kernel = kernels[group * per_group : (group + 1) * per_group]
            parts.append(matmul(im2col(part, layer.geometry), kernel))
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows)


def _fill_conv(
    layer: Conv, maps: list[Array], spread: float, random: PortableRandom
) -> tuple[Conv, list[Array]]:
    layer = replace(layer, weight=random.normal(layer.weight.shape))
    out = _conv_outputs(layer, maps)
    mean, deviation = column_moments(out)
    # A channel that hardly varies on these images is not blown up to noise.
    deviation = np.maximum(deviation, 0.1 * np.median(deviation)) + 1e-12
    gain = (spread / deviation).astype(np.float32)
    offset = _OFFSET_MEAN + _OFFSET_SPREAD * random.normal((out.shape[1],))
    bias = (spread * offset - mean * gain).astype(np.float32)
    layer = replace(layer, weight=layer.weight * gain[:, None, None, None], bias=bias)
    out = (out * gain + bias).astype(np.float32)
    if layer.relu:
        np.maximum(out, 0, out=out)
    shape = (*layer.geometry.out_size(*maps[0].shape[:2]), out.shape[1])
    return layer, list(out.reshape(len(maps), *shape))


def _deviation(values: Array) -> float:
    """Standard deviation of all values together."""
    return float(column_moments(values.reshape(-1, 1))[1][0])


def _fill_fc(
    layer: Fc, maps: list[Array], spread: float, random: PortableRandom
) -> tuple[Fc, list[Array]]:
    weight = random.normal(layer.weight.shape)
    out = matmul(np.stack([flatten(values) for values in maps]), weight)
    common, _ = column_moments(out)
    floor = _LEAST_DIFFERENCE * _deviation(out)
    gain = np.float32(spread / (max(_deviation(out - common), floor) + 1e-12))
    offset = (_OFFSET_MEAN if layer.relu else 0) + _OFFSET_SPREAD * random.normal(common.shape)
    bias = (spread * offset - common * gain).astype(np.float32)
    weight *= gain
    layer = replace(layer, weight=weight, bias=bias)
    out = (out * gain + bias).astype(np.float32)
    if layer.relu:
        np.maximum(out, 0, out=out)
    return layer, [row.reshape(1, 1, -1) for row in out]


def seeded(
    network: Network,
    images: NDArray[np.uint8],
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Network:
    """Return `network` with every weight and bias drawn anew from `seed`.

    Parameters
    ----------
    network : Network
        Float; only the shapes of its weights count.
    images : uint8 array (n, height, width, channels)
        Pixels in the network's channel order, to standardise the activations on.
    seed : int
        The same seed and images give the same weights, bit for bit, on every machine.
    progress : callable, optional
        Called with each layer's name before it is filled.

    Returns
    -------
    Network
        With `trained` false and a `source` that says so.

    Raises
    ------
    ValueError
        If there are no images, or they have the wrong shape.
    """
    if images.ndim != 4 or not len(images) or images.shape[1:] != network.input.shape:
        raise ValueError(
            f"images must have shape (n, {', '.join(map(str, network.input.shape))}) with n at "
            f"least 1, not {images.shape}"
        )
    random = PortableRandom(seed)
    maps: dict[str, list[Array]] = {INPUT: [normalise(network.input, image) for image in images]}
    before_lrn = {
        name for layer in network.layers if isinstance(layer, Lrn) for name in layer.inputs
    }
    layers: list[Layer] = []
    for layer in network.layers:
        if progress is not None:
            progress(layer.name)
        values = maps[layer.inputs[0]]
        if isinstance(layer, Conv):
            spread = _SPREAD_BEFORE_LRN if layer.name in before_lrn else _SPREAD
            layer, maps[layer.name] = _fill_conv(layer, values, spread, random)
        elif isinstance(layer, Fc):
            spread = _SPREAD if layer.relu else _SPREAD_LOGITS
            layer, maps[layer.name] = _fill_fc(layer, values, spread, random)
        else:
            sources = [maps[name] for name in layer.inputs]
            maps[layer.name] = [run_layer(layer, *images) for images in zip(*sources)]
        layers.append(layer)
    return replace(
        network,
        layers=tuple(layers),
        trained=False,
        source=f"random weights, seed {seed}: the labels mean nothing",
    )
