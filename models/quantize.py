"""Post-training static quantisation: float network and calibration images in, U8S8 network out.

Every feature map gets a power-of-two scale that loses least on the calibration images.  Every
output channel's weight scale is rounded up so that ``in_scale * weight_scale / out_scale`` is
exactly ``m / 2**16`` with an integer ``m`` of at most 15 bits: such a network gives the same bits
here, on the hardware and in onnxruntime.

The input: where the first layer has no padding, raw pixels are the codes and mean and standard
deviation go into its weights and bias.  Padding has to be the code of "0 after normalisation", one
for all channels, so otherwise ``pixel - mean`` is encoded with a zero point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fixed import lrn_table
from models.graph import (
    INPUT,
    Conv,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    Shape,
    infer_shapes,
)
from models.ops import run_float

__all__ = ["OUT_SHIFT", "activation_scale", "quantise"]

Array = NDArray[Any]

# One shift for all channels: multipliers below 2**15 with it equal onnxruntime bit for bit.
OUT_SHIFT = 16
_MAX_MULTIPLIER = (1 << 15) - 1
_WEIGHT_LIMIT = 127

# Rows of a weight matrix handled at a time, so that temporaries stay small.
_BLOCK_BYTES = 1 << 23


def activation_scale(maps: list[Array]) -> float:
    """Return the power of two that represents non-negative maps as uint8 with least squared error.

    1/256 where all values are zero.
    """
    top = max(float(values.max()) for values in maps)
    if top <= 0:
        return 2.0**-8
    exponent = int(np.ceil(np.log2(top / 255)))
    errors = {}
    # Clipping a few outliers may cost less than a step twice as coarse.
    for candidate in range(exponent, exponent - 3, -1):
        scale = np.float32(2.0**candidate)
        error = 0.0
        for values in maps:
            flat = values.reshape(-1)
            codes = np.minimum(np.rint(flat / scale), 255) * scale
            error += float(np.square(codes - flat).sum(dtype=np.float64))
        errors[candidate] = error
    return float(2.0 ** min(errors, key=lambda key: errors[key]))


@dataclass(frozen=True)
class _Codes:
    """How a feature map is encoded: ``value = (code - zero[channel]) * scale / std[channel]``."""

    scale: float
    zero: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def pad(self) -> int:
        """Code of padding; only meaningful where all channels share it."""
        return int(self.zero[0])


def _row_blocks(weight: Array) -> list[slice]:
    rows, depth = weight.shape
    step = max(1, _BLOCK_BYTES // (4 * max(depth, 1)))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def _largest(weight: Array) -> NDArray[np.float64]:
    """Largest magnitude in each row."""
    return np.concatenate(
        [np.abs(weight[rows]).max(axis=1).astype(np.float64) for rows in _row_blocks(weight)]
    )


def _round_weights(weight: Array, scale: NDArray[np.float64]) -> NDArray[np.int8]:
    out = np.empty(weight.shape, np.int8)
    inverse = (1 / scale).astype(np.float32)
    for rows in _row_blocks(weight):
        codes = np.rint(weight[rows] * inverse[rows, None])
        out[rows] = np.clip(codes, -_WEIGHT_LIMIT, _WEIGHT_LIMIT)
    return out


def _weighted_sums(codes: NDArray[np.int8], zero: Array) -> tuple[Array, Array]:
    """Sums of ``codes * zero`` and of ``abs(codes)`` in each row."""
    blocks = _row_blocks(codes)
    magnitude = np.concatenate([np.abs(codes[rows]).sum(axis=1, dtype=np.int64) for rows in blocks])
    if not zero.any():
        return np.zeros(len(codes)), magnitude
    return np.concatenate([codes[rows].astype(np.float64) @ zero for rows in blocks]), magnitude


def _integer_bias(
    name: str, bias: Array, step: Array, codes: NDArray[np.int8], zero: Array
) -> NDArray[np.int32]:
    """Bias in accumulator units with the input's zero point folded in; never overflows."""
    offset, magnitude = _weighted_sums(codes, zero)
    # With the smallest multiplier, 1, an output of 256 takes 2**24: a bias beyond this limit
    # saturates the output (at 0 or 255) whatever the input, so clipping it changes nothing.
    limit = 255 * magnitude + (1 << 25)
    if (limit + 255 * magnitude).max() >= 1 << 31:
        raise ValueError(f"layer {name}: the sum of {codes.shape[1]} products may leave 32 bits")
    return np.clip(np.rint(bias / step - offset), -limit, limit).astype(np.int32)


def _multipliers(
    weight: Array, in_scale: float, out_scale: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Multiplier and weight scale of each row; multipliers may exceed what is allowed."""
    unit = out_scale / in_scale / 2**OUT_SHIFT
    wanted = _largest(weight) / _WEIGHT_LIMIT / unit
    multiplier = np.maximum(np.ceil(wanted * (1 - 1e-7)), 1).astype(np.int64)
    return multiplier, multiplier * unit


def _hidden(
    name: str, weight: Array, bias: Array, codes: _Codes, zero: Array, out_scale: float
) -> tuple[dict[str, Any], float]:
    """Quantise the rows of a layer with ReLU; return its arrays and its final output scale."""
    while True:
        multiplier, scale = _multipliers(weight, codes.scale, out_scale)
        if multiplier.max() <= _MAX_MULTIPLIER:
            break
        # One product would move the output by half its range: only a coarser output helps.
        out_scale *= 2
    rounded = _round_weights(weight, scale)
    arrays = {
        "weight": rounded,
        "bias": _integer_bias(name, bias, codes.scale * scale, rounded, zero),
        "multiplier": multiplier,
        "shift": np.full(len(bias), OUT_SHIFT, np.int64),
    }
    return arrays, out_scale


def _logits(name: str, weight: Array, bias: Array, codes: _Codes, zero: Array) -> dict[str, Any]:
    """Quantise the rows of the last layer, which has no ReLU and gives int32."""
    scale = _largest(weight) / _WEIGHT_LIMIT
    # Rows of (nearly) nothing but bias: the step must not be so fine that the bias overflows.
    scale = np.maximum(scale, np.abs(bias) / (codes.scale * 2.0**24))
    scale = np.where(scale > 0, scale, 1.0)
    # Both factors are exact in float32, which is what an ONNX file holds.
    scale = scale.astype(np.float32).astype(np.float64)
    rounded = _round_weights(weight, scale)
    rows = len(bias)
    return {
        "weight": rounded,
        "bias": _integer_bias(name, bias, codes.scale * scale, rounded, zero),
        "multiplier": np.ones(rows, np.int64),
        "shift": np.zeros(rows, np.int64),
        "out_scale": codes.scale * scale,
    }


def _conv(layer: Conv, codes: _Codes, out_scale: float) -> tuple[QConv, float]:
    out_ch, depth, height, width = layer.weight.shape
    weight = layer.weight.transpose(0, 2, 3, 1)
    groups = layer.geometry.groups
    zeros = codes.zero.reshape(groups, depth)
    stds = codes.std.reshape(groups, depth)
    if groups > 1 and ((zeros != zeros[0]).any() or (stds != stds[0]).any()):
        raise ValueError(f"layer {layer.name}: a grouped first layer needs equal channel means")
    flat = np.ascontiguousarray(weight / stds[0].astype(np.float32)).reshape(out_ch, -1)
    zero = np.tile(zeros[0], height * width)
    arrays, out_scale = _hidden(layer.name, flat, layer.bias, codes, zero, out_scale)
    arrays["weight"] = arrays["weight"].reshape(out_ch, height, width, depth)
    in_zero = codes.pad if any(layer.geometry.pad) else 0
    return (
        QConv(
            name=layer.name, inputs=layer.inputs, geometry=layer.geometry, in_zero=in_zero, **arrays
        ),
        out_scale,
    )


def _fc(layer: Fc, codes: _Codes, shape: Shape, out_scale: float, last: bool) -> tuple[QFc, float]:
    positions = shape[0] * shape[1]
    weight: Array = layer.weight
    if (codes.std != 1).any():
        weight = weight / np.repeat(codes.std, positions).astype(np.float32)
    zero = np.repeat(codes.zero, positions)
    if last and not layer.relu:
        arrays = _logits(layer.name, weight, layer.bias, codes, zero)
        return QFc(name=layer.name, inputs=layer.inputs, relu=False, **arrays), 1.0
    arrays, out_scale = _hidden(layer.name, weight, layer.bias, codes, zero, out_scale)
    arrays["out_scale"] = np.full(len(layer.bias), out_scale)
    return QFc(name=layer.name, inputs=layer.inputs, relu=True, **arrays), out_scale


def _lrn(layer: Lrn, codes: _Codes, out_scale: float) -> QLrn:
    if layer.size != 5:
        raise ValueError(f"layer {layer.name}: LRN needs a window of 5, not {layer.size!r}")
    if codes.zero.any():
        raise ValueError(f"layer {layer.name}: LRN of the input is not supported")
    settings: dict[str, Any] = {name: getattr(layer, name) for name in ("alpha", "beta", "k")}
    try:
        table, difference, shift = lrn_table(
            in_scale=codes.scale, out_scale=out_scale, size=5, **settings
        )
    except ValueError as error:
        raise ValueError(f"layer {layer.name}: {error}") from None
    return QLrn(
        name=layer.name,
        inputs=layer.inputs,
        size=5,
        table=table,
        difference=difference,
        shift=shift,
        **settings,
    )


def _average(layer: GlobalAveragePool, codes: _Codes, wanted: float) -> QGlobalAveragePool:
    """Quantise a mean; its scale is never coarser than its input's, as no mean needs that."""
    if codes.zero.any() or (codes.std != 1).any():
        raise ValueError(f"layer {layer.name}: the mean of the input is not supported")
    gain = max(round(codes.scale / wanted), 1)
    return QGlobalAveragePool(
        name=layer.name, inputs=layer.inputs, gain=gain, out_scale=codes.scale / gain
    )


def _encode_input(network: Network) -> tuple[InputSpec, _Codes]:
    """How the input is encoded."""
    spec = network.input
    channels = spec.shape[2]
    mean = np.array(spec.mean, np.float64)
    std = np.array(spec.std, np.float64)
    if mean.shape != (channels,) or std.shape != (channels,) or not (std > 0).all():
        raise ValueError(
            f"{network.name}: an input of {channels} channels needs as many means and positive "
            f"standard deviations, not {spec.mean!r} and {spec.std!r}"
        )
    plain = replace(spec, std=(1.0,) * channels)
    readers = [layer for layer in network.layers if INPUT in layer.inputs]
    if all(
        isinstance(layer, Fc) or (isinstance(layer, Conv) and not any(layer.geometry.pad))
        for layer in readers
    ):
        return replace(plain, mean=(0.0,) * channels), _Codes(1.0, mean, std)
    # Codes of every pixel of every channel must fit: means far apart cost one bit.
    scale = 1.0 if float(np.rint(mean.max() - mean.min())) == 0 else 2.0
    zero = float(np.clip(np.rint(mean.max() / scale), 0, 255))
    spec = replace(plain, scale=scale, zero=int(zero))
    return spec, _Codes(scale, np.full(channels, zero), std)


def _check(network: Network) -> None:
    """Refuse what has no quantised form, before any work."""
    problems = []
    final = network.layers[-1].name if network.layers else ""
    for layer in network.layers:
        known = isinstance(layer, Conv | Fc | GlobalAveragePool | Lrn | MaxPool)
        if not known or isinstance(layer, QGlobalAveragePool | QLrn):
            problems.append(f"{layer.name} ({type(layer).__name__} is not a float layer)")
        elif isinstance(layer, Conv) and not layer.relu:
            problems.append(f"{layer.name} (a convolution needs a ReLU)")
        elif isinstance(layer, Fc) and not layer.relu and layer.name != final:
            problems.append(f"{layer.name} (only the last fully connected layer may lack a ReLU)")
        elif isinstance(layer, Conv | Fc) and not (
            np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()
        ):
            problems.append(f"{layer.name} (weights that are not finite)")
    if problems:
        raise ValueError(f"{network.name} cannot be quantised: {'; '.join(problems)}")


def quantise(
    network: Network,
    images: NDArray[np.uint8],
    *,
    progress: Callable[[str], None] | None = None,
) -> Network:
    """Return the quantised form of a float network.

    Parameters
    ----------
    network : Network
        Float, of `Conv` with ReLU, `Lrn` with a window of 5, `MaxPool`, `GlobalAveragePool` and
        `Fc`.
    images : uint8 array (n, height, width, channels)
        Calibration: pixels in the network's channel order and shape, at least one image.
    progress : callable, optional
        Called with each layer's name before it is quantised.

    Returns
    -------
    Network
        Of `QConv`, `QLrn`, `MaxPool`, `QGlobalAveragePool` and `QFc`; `scales` has every feature
        map but the logits.

    Raises
    ------
    ValueError
        If there are no images or they do not fit, or a layer has no quantised form; the message
        names the layer.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(
            f"calibration needs images (n, height, width, channels), not {images.shape}"
        )
    _check(network)
    shapes = infer_shapes(network)
    spec, input_codes = _encode_input(network)
    runs = [run_float(network, image) for image in images]
    codes = {INPUT: input_codes}
    layers: list[Layer] = []
    for layer in network.layers:
        if progress is not None:
            progress(layer.name)
        source = codes[layer.inputs[0]]
        shape = shapes[layer.inputs[0]]
        if isinstance(layer, MaxPool):
            layers.append(layer)
            codes[layer.name] = source
            continue
        last = layer is network.layers[-1]
        scale = 1.0
        if not (last and isinstance(layer, Fc) and not layer.relu):
            scale = activation_scale([run[layer.name] for run in runs])
        if isinstance(layer, Conv):
            quantised, scale = _conv(layer, source, scale)
            layers.append(quantised)
        elif isinstance(layer, Fc):
            fc, scale = _fc(layer, source, shape, scale, last)
            layers.append(fc)
        elif isinstance(layer, GlobalAveragePool):
            average = _average(layer, source, scale)
            layers.append(average)
            scale = average.out_scale
        else:
            assert isinstance(layer, Lrn)
            layers.append(_lrn(layer, source, scale))
        channels = shapes[layer.name][2]
        codes[layer.name] = _Codes(scale, np.zeros(channels), np.ones(channels))
    scales = {name: code.scale for name, code in codes.items()}
    final = layers[-1] if layers else None
    if isinstance(final, QFc) and not final.relu:
        del scales[final.name]
    return replace(network, input=spec, layers=tuple(layers), scales=scales)
