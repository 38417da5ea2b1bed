"""The golden layers: what every layer must compute, bit for bit where it is quantised.

Feature maps are ``(height, width, channels)``, uint8 in quantised networks and float32 in float
ones.  Quantised products are summed with float32 matrix multiplication, which is exact here: the
reduction is split into chunks whose sums float32 represents exactly.  Float networks give the same
bits everywhere (`models.golden.reproducible`), and so does their calibration.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.fixed import lrn_apply, lrn_gains, requantise
from penstock.models.golden.reproducible import column_means, inverse_power, matmul
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
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
)

__all__ = [
    "EXACT_PRODUCTS",
    "average_pool",
    "conv_accumulate",
    "exact_matmul",
    "fc_accumulate",
    "flatten",
    "global_average",
    "float_conv",
    "float_lrn",
    "im2col",
    "input_codes",
    "max_pool",
    "normalise",
    "quantised_add",
    "quantised_average",
    "quantised_conv",
    "quantised_fc",
    "quantised_lrn",
    "run_float",
    "run_layer",
    "run_quantised",
    "scores",
    "softmax",
]

Array = NDArray[Any]
Codes = NDArray[np.uint8]

# Most uint8 x int8 products whose sum is always exact in float32: 514 * 255 * 128 < 2**24.
EXACT_PRODUCTS = 514

# Rows of an int8 weight matrix widened to float32 at a time: bounds the copy to a few megabytes.
_WIDEN_BYTES = 1 << 22


def exact_matmul(codes: Codes, weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return ``codes @ weight.T`` exactly.

    Parameters
    ----------
    codes : uint8 (or float32 holding uint8 values) array (n, k)
    weight : int8 array (out, k)

    Returns
    -------
    int32 array (n, out)
        The caller ensures that no sum exceeds 32 bits.
    """
    count, depth = codes.shape
    outputs = weight.shape[0]
    wide = codes.astype(np.float32, copy=False)
    total = np.zeros((count, outputs), np.int32)
    chunks = max(1, -(-depth // EXACT_PRODUCTS))
    edges = [depth * i // chunks for i in range(chunks + 1)]
    step = max(1, _WIDEN_BYTES // (4 * max(depth, 1)))
    for first in range(0, outputs, step):
        rows = weight[first : first + step].astype(np.float32)
        part = total[:, first : first + step]
        for low, high in pairwise(edges):
            part += (wide[:, low:high] @ rows[:, low:high].T).astype(np.int32)
    return total


def im2col(image: Array, geometry: ConvGeometry, pad_value: float = 0) -> Array:
    """Return the window of every output position, as a row of values in the order ky, kx, channel.

    Parameters
    ----------
    image : array (height, width, channels)
    geometry : ConvGeometry
        ``groups`` is ignored.
    pad_value : number
        Value of the padding.

    Returns
    -------
    float32 array (out_height * out_width, kh * kw * channels)
    """
    out_h, out_w = geometry.out_size(image.shape[0], image.shape[1])
    top, left, bottom, right = geometry.pad
    channels = image.shape[2]
    padded = np.full(
        (image.shape[0] + top + bottom, image.shape[1] + left + right, channels),
        pad_value,
        image.dtype,
    )
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    row, column, _ = padded.strides
    # The kw * channels values of one kernel row lie side by side in a row of the image.
    windows = np.lib.stride_tricks.as_strided(
        padded,
        shape=(out_h, out_w, geometry.kernel[0], geometry.kernel[1] * channels),
        strides=(row * geometry.stride[0], column * geometry.stride[1], row, padded.itemsize),
        writeable=False,
    )
    return windows.astype(np.float32, order="C").reshape(out_h * out_w, -1)


def conv_accumulate(layer: QConv, codes: Codes) -> NDArray[np.int32]:
    """Return the accumulators of a convolution, before the bias.

    Parameters
    ----------
    layer : QConv
    codes : uint8 array (height, width, channels)

    Returns
    -------
    int32 array (out_height, out_width, out_ch)
    """
    geometry = layer.geometry
    out_h, out_w = geometry.out_size(codes.shape[0], codes.shape[1])
    out_ch, _, _, depth = layer.weight.shape
    per_group = out_ch // geometry.groups
    acc = np.empty((out_h * out_w, out_ch), np.int32)
    for group in range(geometry.groups):
        outputs = slice(group * per_group, (group + 1) * per_group)
        part = codes[:, :, group * depth : (group + 1) * depth]
        columns = im2col(part, geometry, layer.in_zero)
        acc[:, outputs] = exact_matmul(columns, layer.weight[outputs].reshape(per_group, -1))
    return acc.reshape(out_h, out_w, out_ch)


def quantised_conv(layer: QConv, codes: Codes) -> Codes:
    """Return the output codes (out_height, out_width, out_ch) of a quantised convolution."""
    acc = conv_accumulate(layer, codes)
    return requantise(acc, layer.bias, layer.multiplier, layer.shift)


@lru_cache(maxsize=16)
def _gains(table: bytes, difference: bytes) -> Array:
    # Computing the gain of all sums of squares takes longer than a small layer does.
    return lrn_gains(np.frombuffer(table, np.uint16), np.frombuffer(difference, np.uint16))


def quantised_lrn(layer: QLrn, codes: Codes) -> Codes:
    """Return the normalised codes, the shape of `codes`."""
    gains = _gains(layer.table.tobytes(), layer.difference.tobytes())
    nothing = np.zeros((*codes.shape[:-1], 2), np.uint8)
    return lrn_apply(codes, nothing, nothing, gains, layer.shift)


def max_pool(layer: MaxPool, values: Array) -> Array:
    """Return the maxima (out_height, out_width, channels), of the dtype of `values`.

    A window of padding only gives 0.
    """
    height, width, channels = values.shape
    out_h, out_w = layer.geometry.out_size(height, width)
    top, left, bottom, right = layer.pad
    lowest = 0 if values.dtype == np.uint8 else -np.inf
    padded = np.full((height + top + bottom, width + left + right, channels), lowest, values.dtype)
    padded[top : top + height, left : left + width] = values
    # Columns first, then rows: kernel + kernel comparisons instead of kernel * kernel.
    step = layer.stride
    columns = padded[:, : (out_w - 1) * step + 1 : step].copy()
    for x in range(1, layer.kernel):
        np.maximum(columns, padded[:, x : x + (out_w - 1) * step + 1 : step], out=columns)
    out = columns[: (out_h - 1) * step + 1 : step].copy()
    for y in range(1, layer.kernel):
        np.maximum(out, columns[y : y + (out_h - 1) * step + 1 : step], out=out)
    if any(side >= layer.kernel for side in layer.pad):
        out[out == lowest] = 0
    return out


def _window_sums(layer: AveragePool, values: Array, dtype: Any) -> tuple[Array, NDArray[np.int64]]:
    """Sums of the windows, and the positions counted in each (out_height, out_width, 1)."""
    height, width, channels = values.shape
    out_h, out_w = layer.geometry.out_size(height, width)
    top, left, bottom, right = layer.pad
    padded = np.zeros((height + top + bottom, width + left + right, channels + 1), dtype)
    inside = padded[top : top + height, left : left + width]
    inside[..., :channels] = values
    # The last channel holds ones: its sum is the number of positions.
    (padded if layer.count_pad else inside)[..., channels] = 1
    (down, across), (kernel_h, kernel_w) = layer.stride, layer.kernel
    columns = np.zeros((padded.shape[0], out_w, channels + 1), dtype)
    for x in range(kernel_w):
        columns += padded[:, x : x + (out_w - 1) * across + 1 : across]
    sums = np.zeros((out_h, out_w, channels + 1), dtype)
    for y in range(kernel_h):
        sums += columns[y : y + (out_h - 1) * down + 1 : down]
    return sums[..., :channels], np.maximum(sums[..., channels:], 1).astype(np.int64)


def average_pool(layer: AveragePool, values: Array) -> NDArray[np.float32]:
    """Return the float32 means (out_height, out_width, channels)."""
    sums, count = _window_sums(layer, values, np.float32)
    return np.asarray(sums / count.astype(np.float32), np.float32)


def _means(sums: Array, steps: Array | int, out_zero: int) -> Codes:
    """The codes of ``sums / steps``, halves rounded up, also below zero, by floor division."""
    return np.clip((2 * sums + steps) // (2 * steps) + out_zero, 0, 255).astype(np.uint8)


def quantised_average(layer: QAveragePool, codes: Codes) -> Codes:
    """Return the codes (out_height, out_width, channels) of a quantised average pooling."""
    centred = codes.astype(np.int64) - layer.in_zero
    sums, count = _window_sums(layer, centred, np.int64)
    return _means(sums * layer.multiplier, count << layer.shift, layer.out_zero)


def quantised_add(layer: QAdd, first: Codes, second: Codes) -> Codes:
    """Return the codes of a quantised sum, the shape of both inputs."""
    acc = first.astype(np.int32) * layer.weight[0] + second.astype(np.int32) * layer.weight[1]
    parameters = (np.array(value) for value in (layer.bias, layer.multiplier, layer.shift))
    return requantise(acc, *parameters)


def _float_add(layer: Add, first: Array, second: Array) -> NDArray[np.float32]:
    total = first + second
    return np.asarray(np.maximum(total, 0) if layer.relu else total, np.float32)


def global_average(layer: QGlobalAveragePool, codes: Codes) -> Codes:
    """Return the scaled means (..., channels) of maps (..., height, width, channels)."""
    positions = codes.shape[-3] * codes.shape[-2]
    total = codes.sum(axis=(-3, -2), dtype=np.int64) - positions * layer.in_zero
    return _means(total * layer.gain, positions << layer.shift, layer.out_zero)


def flatten(values: Array) -> Array:
    """Return a feature map (height, width, channels) as a vector in the order C, H, W (Caffe's)."""
    return values.transpose(2, 0, 1).reshape(-1)


def fc_accumulate(layer: QFc, codes: Codes) -> NDArray[np.int32]:
    """Return ``codes @ weight.T + bias`` of a batch.

    Parameters
    ----------
    layer : QFc
    codes : uint8 array (batch, in)
        Flattened channel-major (`flatten`).

    Returns
    -------
    int32 array (batch, out)
    """
    return exact_matmul(codes, layer.weight) + layer.bias.astype(np.int32)


def quantised_fc(layer: QFc, codes: Codes) -> Array:
    """Return a fully connected layer's output for a batch (batch, in) of flattened codes.

    Returns
    -------
    array (batch, out)
        uint8 codes with ReLU, int32 logits (in units of ``layer.out_scale``) without.
    """
    if not layer.relu:
        return fc_accumulate(layer, codes)
    acc = exact_matmul(codes, layer.weight)
    return requantise(acc, layer.bias, layer.multiplier, layer.shift)


def softmax(logits: Array) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    wide = np.asarray(logits, np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float64)


def scores(layer: QFc | QGlobalAveragePool, logits: Array) -> NDArray[np.float64]:
    """Return class probabilities from the last layer's output: (..., out) to (..., out)."""
    return softmax(np.asarray(logits, np.float64) * layer.out_scale)


def float_conv(layer: Conv, values: Array) -> NDArray[np.float32]:
    """Return the float32 output (out_height, out_width, out_ch) of a float convolution."""
    geometry = layer.geometry
    out_h, out_w = geometry.out_size(values.shape[0], values.shape[1])
    out_ch, depth = layer.weight.shape[:2]
    per_group = out_ch // geometry.groups
    out = np.empty((out_h * out_w, out_ch), np.float32)
    for group in range(geometry.groups):
        outputs = slice(group * per_group, (group + 1) * per_group)
        columns = im2col(values[:, :, group * depth : (group + 1) * depth], geometry)
        kernel = layer.weight[outputs].transpose(0, 2, 3, 1).reshape(per_group, -1)
        out[:, outputs] = matmul(columns, kernel)
    out += layer.bias
    if layer.relu:
        np.maximum(out, 0, out=out)
    return out.reshape(out_h, out_w, out_ch)


def float_lrn(layer: Lrn, values: Array) -> NDArray[np.float32]:
    """Return ``x / (k + alpha / size * sum(x**2)) ** beta``, the window as in ONNX's LRN."""
    channels = values.shape[-1]
    before = (layer.size - 1) // 2
    padded = np.zeros((*values.shape[:-1], channels + layer.size - 1), np.float32)
    padded[..., before : before + channels] = np.square(values)
    squares = np.zeros(values.shape, np.float32)
    for i in range(layer.size):
        squares += padded[..., i : i + channels]
    gain = inverse_power(layer.k + layer.alpha / layer.size * squares, layer.beta)
    return np.asarray(values * gain.astype(np.float32), np.float32)


def _float_fc(layer: Fc, values: Array) -> NDArray[np.float32]:
    out = matmul(flatten(values)[None], layer.weight)[0].astype(np.float32) + layer.bias
    return np.asarray(np.maximum(out, 0) if layer.relu else out, np.float32)


def run_layer(layer: Layer, *inputs: Array) -> Array:
    """Return the output map (height, width, channels) of one layer, float or quantised.

    `inputs` are the maps of the layer's inputs, in order.

    Raises
    ------
    ValueError
        If there is no golden form of this kind of layer.
    """
    if isinstance(layer, Concat):
        return np.concatenate(inputs, axis=2)
    if isinstance(layer, QAdd):
        return quantised_add(layer, *inputs)
    if isinstance(layer, Add):
        return _float_add(layer, *inputs)
    (values,) = inputs
    if isinstance(layer, QConv):
        return quantised_conv(layer, values)
    if isinstance(layer, QLrn):
        return quantised_lrn(layer, values)
    if isinstance(layer, MaxPool):
        return max_pool(layer, values)
    if isinstance(layer, QAveragePool):
        return quantised_average(layer, values)
    if isinstance(layer, AveragePool):
        return average_pool(layer, values)
    if isinstance(layer, QGlobalAveragePool):
        return global_average(layer, values).reshape(1, 1, -1)
    if isinstance(layer, QFc):
        return quantised_fc(layer, flatten(values)[None]).reshape(1, 1, -1)
    if isinstance(layer, Conv):
        return float_conv(layer, values)
    if isinstance(layer, Lrn):
        return float_lrn(layer, values)
    if isinstance(layer, GlobalAveragePool):
        means = column_means(values.reshape(-1, values.shape[2]))
        return means.astype(np.float32).reshape(1, 1, -1)
    if isinstance(layer, Fc):
        return _float_fc(layer, values).reshape(1, 1, -1)
    raise ValueError(f"layer {layer.name}: no golden form of {type(layer).__name__}")


def _run(network: Network, values: Array, stop: str | None) -> dict[str, Array]:
    if values.shape != network.input.shape:
        raise ValueError(
            f"{network.name} takes an input of shape {network.input.shape}, not {values.shape}"
        )
    if stop is not None:
        network.layer(stop)
    maps: dict[str, Array] = {INPUT: values}
    for layer in network.layers:
        maps[layer.name] = run_layer(layer, *(maps[name] for name in layer.inputs))
        if layer.name == stop:
            break
    del maps[INPUT]
    return maps


def run_quantised(network: Network, codes: Codes, *, stop: str | None = None) -> dict[str, Array]:
    """Return the golden feature maps of a quantised network by layer name.

    Parameters
    ----------
    network : Network
    codes : uint8 array, of the network's input shape
    stop : str, optional
        The last layer wanted; the last of the network otherwise.

    Returns
    -------
    dict
        (height, width, channels) uint8 maps; int32 logits (1, 1, out) for a last `QFc` without
        ReLU.

    Raises
    ------
    ValueError
        If the input's shape or dtype is wrong, or there is no layer `stop`.
    """
    if codes.dtype != np.uint8:
        raise ValueError(f"input codes must be uint8, not {codes.dtype}")
    return _run(network, codes, stop)


def normalise(spec: InputSpec, pixels: Array) -> NDArray[np.float32]:
    """Return ``(pixel - mean) / std`` of pixels (height, width, channels), 0 to 255."""
    mean = np.asarray(spec.mean, np.float32)
    return np.asarray((pixels.astype(np.float32) - mean) / np.asarray(spec.std, np.float32))


def input_codes(spec: InputSpec, pixels: Array) -> Codes:
    """Return the input codes of pixels (height, width, channels), as `InputSpec` says.

    Pixels are 0 to 255 in the channel order of the network.
    """
    codes = np.rint(normalise(spec, pixels) / np.float32(spec.scale)) + spec.zero
    return np.asarray(np.clip(codes, 0, 255), np.uint8)


def run_float(network: Network, image: Array, *, stop: str | None = None) -> dict[str, Array]:
    """Return the feature maps of a float network by layer name, float32 (height, width, channels).

    Parameters
    ----------
    network : Network
    image : array, of the network's input shape
        Pixels, 0 to 255, in the channel order of the network; normalised here.
    stop : str, optional
        The last layer wanted.
    """
    return _run(network, normalise(network.input, image), stop)
