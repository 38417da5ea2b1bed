"""Layers of quantised ONNX graphs: convolutions, fully connected ones, and changes of the scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.graph import Concat, ConvGeometry, QConv, QFc
from penstock.models.onnx_io.quantised_traversal import Output, QuantisedTraversal
from penstock.models.onnx_io.quantised_weights import Weights
from penstock.models.onnx_io.values import Unsupported, Value
from penstock.models.quant.calibrate import Encoding
from penstock.models.quant.rescale import conv_arrays

__all__ = ["add_conv", "add_fc", "rescale"]

Array = NDArray[Any]


def _steps(source: Encoding, weights: Weights, out: Encoding, count: int) -> Array:
    """Output steps for each unit of the accumulator, in onnxruntime's order of float32."""
    scale = np.float32(source.scale) * weights.scale / np.float32(out.scale)
    return np.asarray(np.broadcast_to(scale, (count,)), np.float32)


def _in_eight_bits(
    traversal: QuantisedTraversal, node: Any, value: Value, weights: Weights, groups: int
) -> tuple[Value, Weights]:
    """Weights that fit int8, and the map they are for.

    uint8 weights less their zero point may have nine bits: the map is joined to itself, and the
    weights are sums of as many parts.
    """
    rest = weights.values
    if not rest.size or (rest.min() >= -128 and rest.max() <= 127):
        return value, weights
    if groups > 1 or weights.values.dtype != np.int64 or np.abs(rest).max() > 255:
        raise Unsupported(
            f"weights of {rest.min()} to {rest.max()} in {groups} groups do not fit 8 bits"
        )
    parts = []
    while rest.any():
        parts.append(np.clip(rest, -127, 127))
        rest = rest - parts[-1]
    layer = Concat(name=traversal.name("copies"), inputs=(value.layer,) * len(parts))
    holder = Output(f"{node.output[0]}.copies")
    traversal.append(holder, layer, *[value] * len(parts), flat=len(value.shape or ()) == 1)
    traversal.codes[layer.name] = traversal.of(value)
    made = replace(traversal.values[holder.output[0]], pad=value.pad, encoding=value.encoding)
    return made, replace(weights, values=np.concatenate(parts, axis=1))


def add_conv(
    traversal: QuantisedTraversal,
    node: Any,
    value: Value,
    weights: Weights,
    bias: Array,
    geometry: ConvGeometry,
    name: str,
    out: Encoding,
) -> None:
    value, weights = _in_eight_bits(traversal, node, value, weights, geometry.groups)
    source = traversal.of(value)
    count = len(weights.values)
    arrays = conv_arrays(
        weights.values.transpose(0, 2, 3, 1),
        bias,
        _steps(source, weights, out, count),
        in_zero=source.zero,
        out_zero=out.zero,
    )
    padded = any(geometry.pad)
    layer = QConv(
        name=name,
        inputs=(value.layer,),
        geometry=geometry,
        in_zero=source.zero if padded else 0,
        **arrays,
    )
    traversal.finished(node, layer, out, value)


def add_fc(
    traversal: QuantisedTraversal,
    node: Any,
    value: Value,
    weights: Weights,
    bias: Array,
    name: str,
    out: Encoding | None,
) -> None:
    source = traversal.of(value)
    count = len(weights.values)
    if value.shape is not None and value.shape != weights.values.shape[1:]:
        raise Unsupported(f"weights {weights.values.shape} on an input of {value.shape}")
    value, weights = _in_eight_bits(traversal, node, value, weights, 1)
    # Logits count accumulator units themselves.
    made = out or Encoding(1.0, 0)
    scale = _steps(source, weights, made, count)
    arrays = conv_arrays(
        weights.values,
        bias,
        scale if out else np.ones(count),
        in_zero=source.zero,
        out_zero=made.zero,
    )
    steps = np.full(count, made.scale) if out else scale.astype(np.float64)
    if out is None:
        if (arrays["multiplier"] != 1 << arrays["shift"]).any():
            raise Unsupported("sums that may leave 32 bits")
        arrays |= {"multiplier": np.ones(count, np.int64), "shift": np.zeros(count, np.int64)}
    layer = QFc(name=name, inputs=(value.layer,), relu=out is not None, out_scale=steps, **arrays)
    traversal.finished(node, layer, made, value)


def rescale(
    traversal: QuantisedTraversal,
    node: Any,
    value: Value,
    out: Encoding,
    name: str,
    offset: Array | None = None,
) -> None:
    """Rescale a map to another encoding; `offset` is added, a float for each channel."""
    if value.shape is None:
        raise Unsupported("a change of the scale of a map of unknown shape")
    channels = value.shape[0]
    # 64 / 64: the finer the accumulator's unit, the better the zero point fits.
    scale = np.full(1, 1 / 64, np.float32)
    bias = np.zeros(channels, np.int64)
    if offset is not None:
        bias = np.rint(offset * 64 / traversal.of(value).scale).astype(np.int64)
    if len(value.shape) == 1:
        matrix = Weights(64 * np.eye(channels, dtype=np.int64), scale)
        add_fc(traversal, node, value, matrix, bias, name, out)
        return
    weights = Weights(np.full((channels, 1, 1, 1), 64), scale)
    geometry = ConvGeometry(kernel=(1, 1), groups=channels)
    add_conv(traversal, node, value, weights, bias, geometry, name, out)
