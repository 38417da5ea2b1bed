"""Nodes of quantised ONNX graphs and the layers they become: QDQ and QOperator form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.fixed import lrn_table
from penstock.models.graph.graph import (
    INPUT,
    Concat,
    ConvGeometry,
    QAdd,
    QAveragePool,
    QGlobalAveragePool,
    QLrn,
)
from penstock.models.onnx_io.float_nodes import FLOAT_NODES, SHAPE_NODES
from penstock.models.onnx_io.logits import LOGITS_NODES, with_constant
from penstock.models.onnx_io.quantised_traversal import (
    QuantisedWalk,
    Waiting,
    Weights,
    add_conv,
    add_fc,
    alike,
    integer_weights,
    rescale,
)
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import Unsupported, Value, window
from penstock.models.quant.calibrate import Encoding
from penstock.models.quant.rescale import add_arrays, multiplier_and_shift

__all__ = ["QUANTISED_NODES", "QUANTISED_ONLY"]

Attributes = dict[str, Any]
Array = NDArray[Any]

# What makes a graph a quantised one.
QUANTISED_ONLY = {
    "DequantizeLinear", "QuantizeLinear", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm",
    "QLinearConcat", "QLinearAveragePool", "QLinearGlobalAveragePool", "ConvInteger",
    "MatMulInteger", "DynamicQuantizeLinear",
}  # fmt: skip


def _quantize(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    out = walk.encoding(node, 1, 2)
    waiting = walk.waiting.get(node.input[0])
    if waiting is not None:
        limit = waiting.limit
        if limit is not None and (out.zero != 0 or limit < (255 - out.zero) * out.scale):
            raise Unsupported(
                f"a clip to 0 .. {limit:g} that is not the range of its codes: zero point "
                f"{out.zero}, scale {out.scale:g}"
            )
        waiting.finish(node, out)
        return
    value = walk.value(node)
    if value.layer == INPUT and INPUT not in walk.codes:
        walk.codes[INPUT] = out
    known = walk.of(value)
    if value.layer and not alike(known, out):
        rescale(walk, node, value, out)
        return
    walk.alias(node, value, encoding=None)
    walk.tensors.setdefault(value.layer, node.output[0])


def _dequantize(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    name = node.input[0]
    if name in walk.constants:
        scale = walk.constant(node, 1, "scale").reshape(-1)
        zeros = walk.optional(node, 2)
        if scale.size > 1 and attributes.get("axis", 1) != 0 and walk.constants[name].ndim > 1:
            raise Unsupported(f"scales along axis {attributes.get('axis', 1)} of weights")
        walk.integers[node.output[0]] = integer_weights(walk.constants[name], scale, zeros)
        return
    walk.alias(node, walk.coded(node, 0))


def _real_weights(walk: QuantisedWalk, node: Any, index: int) -> Weights:
    name = node.input[index] if index < len(node.input) else ""
    if name not in walk.integers:
        raise Unsupported("its weights are not quantised constants")
    return walk.integers[name]


def _real_bias(walk: QuantisedWalk, node: Any, source: Encoding, weights: Weights) -> Array:
    """The bias in accumulator units."""
    count = len(weights.values)
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        return np.zeros(count, np.int64)
    unit = np.float64(np.float32(source.scale)) * weights.scale
    if name in walk.integers:
        bias = walk.integers[name]
        real = bias.values * bias.scale.astype(np.float64)
    else:
        real = walk.weights(node, 2, "bias", 1).astype(np.float64)
    if real.shape != (count,):
        raise Unsupported(f"a bias of shape {real.shape} for {count} channels")
    return np.rint(real / unit).astype(np.int64)


def _conv(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node, padded=True)
    weights = _real_weights(walk, node, 1)
    if weights.values.ndim != 4 or value.fill != 0:
        raise Unsupported(f"weights of shape {weights.values.shape}")
    geometry = window(attributes, weights.values.shape[2:], value)
    bias = _real_bias(walk, node, walk.of(value), weights)
    name = walk.name("conv", weighted=True)
    walk.waiting[node.output[0]] = Waiting(
        finish=lambda end, out: add_conv(walk, end, value, weights, bias, geometry, name, out)
    )


def _gemm(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node)
    weights = _real_weights(walk, node, 1)
    if weights.values.ndim != 2 or attributes.get("transA", 0) or attributes.get("alpha", 1) != 1:
        raise Unsupported("transA, alpha or weights that are not a matrix")
    if node.op_type == "MatMul" or not attributes.get("transB", 0):
        if weights.scale.size > 1:
            raise Unsupported("scales along the inputs of the weights")
        weights = replace(weights, values=weights.values.T)
    bias = _real_bias(walk, node, walk.of(value), weights)
    name = walk.name("fc", weighted=True)
    walk.waiting[node.output[0]] = Waiting(
        finish=lambda end, out: add_fc(walk, end, value, weights, bias, name, out),
        last=lambda end: add_fc(walk, end, value, weights, bias, name, None),
    )


def _q_conv(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.coded(node, 0, padded=True)
    weights = walk.quantised(node, 3, 4, 5)
    if weights.values.ndim != 4:
        raise Unsupported(f"weights of shape {weights.values.shape}")
    bias = walk.optional(node, 8)
    if bias is None:
        bias = np.zeros(len(weights.values), np.int64)
    geometry = window(attributes, weights.values.shape[2:], value)
    name = walk.name("conv", weighted=True)
    add_conv(walk, node, value, weights, bias, geometry, name, walk.encoding(node, 6, 7))


def _q_gemm(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.coded(node, 0)
    weights = walk.quantised(node, 3, 4, 5)
    plain = node.op_type == "QLinearMatMul"
    if weights.values.ndim != 2 or attributes.get("transA", 0) or attributes.get("alpha", 1) != 1:
        raise Unsupported("transA, alpha or weights that are not a matrix")
    if plain or not attributes.get("transB", 0):
        weights = replace(weights, values=weights.values.T)
    bias = None if plain else walk.optional(node, 6)
    if bias is None:
        bias = np.zeros(len(weights.values), np.int64)
    scale = 6 if plain else 7
    out = walk.encoding(node, scale, scale + 1) if len(node.input) > scale else None
    name = walk.name("fc", weighted=True)
    add_fc(walk, node, value, weights, bias.reshape(-1), name, out)


def _add_maps(
    walk: QuantisedWalk, node: Any, first: Value, second: Value, name: str, out: Encoding
) -> None:
    if first.shape != second.shape and None not in (first.shape, second.shape):
        raise Unsupported(f"maps of {first.shape} and {second.shape}")
    a, b = walk.of(first), walk.of(second)
    arrays = add_arrays((a.scale, a.zero), (b.scale, b.zero), (out.scale, out.zero))
    layer = QAdd(name=name, inputs=(first.layer, second.layer), **arrays)
    walk.finished(node, layer, out, first, second)


def _constant_arithmetic(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    if any(name in walk.logits for name in node.input):
        with_constant(walk, node)
        return
    if INPUT in walk.codes:
        raise Unsupported("only of the network's input before it is quantised")
    FLOAT_NODES[node.op_type](walk, node, attributes)


def _round(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node)
    if value.layer != INPUT or INPUT in walk.codes:
        raise Unsupported("only of the network's input, to pixels")
    walk.alias(node, value)


def _add(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    if any(name in walk.constants for name in node.input):
        _constant_arithmetic(walk, node, attributes)
        return
    first, second = walk.value(node, 0), walk.value(node, 1)
    name = walk.name("add")
    walk.waiting[node.output[0]] = Waiting(
        finish=lambda end, out: _add_maps(walk, end, first, second, name, out)
    )


def _q_add(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    first, second = walk.coded(node, 0), walk.coded(node, 3)
    _add_maps(walk, node, first, second, walk.name("add"), walk.encoding(node, 6, 7))


def _join(
    walk: QuantisedWalk, node: Any, values: list[Value], axis: Any, out: Encoding | None
) -> None:
    """Put maps side by side; without `out` their codes as they are."""
    if axis not in (1, -3) or any(v.shape is not None and len(v.shape) != 3 for v in values):
        raise Unsupported(f"along axis {axis}: only along the channels")
    parts = []
    for index, value in enumerate(values):
        if out is not None and value.layer and not alike(walk.of(value), out):
            # Under a name of its own: this map may be read elsewhere as it is.
            holder = _Output(f"{node.output[0]}.{index}")
            rescale(walk, holder, value, out)
            value = walk.values[holder.output[0]]
            del walk.tensors[value.layer]
        parts.append(value)
    layer = Concat(name=walk.name("concat"), inputs=tuple(value.layer for value in parts))
    walk.finished(node, layer, out or walk.of(values[0]), *parts)


@dataclass(frozen=True)
class _Output:
    """Stands for a node that the file does not have."""

    name: str

    @property
    def output(self) -> tuple[str]:
        """What it makes."""
        return (self.name,)


def _concat(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    values = [walk.value(node, index) for index in range(len(node.input))]
    axis = attributes.get("axis")
    if all(value.encoding is None for value in values):
        _join(walk, node, values, axis, None)
        return
    walk.waiting[node.output[0]] = Waiting(
        finish=lambda end, out: _join(walk, end, values, axis, out)
    )


def _q_concat(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    values = [walk.coded(node, index) for index in range(2, len(node.input), 3)]
    _join(walk, node, values, attributes.get("axis"), walk.encoding(node, 0, 1))


def _mean(
    walk: QuantisedWalk,
    node: Any,
    value: Value,
    geometry: ConvGeometry | None,
    count_pad: bool,
    name: str,
    out: Encoding,
) -> None:
    """Add an average: of windows, or of the whole map without `geometry`."""
    source = walk.of(value)
    ratio = np.float32(source.scale) / np.float32(out.scale)
    multiplier, shift = multiplier_and_shift(np.array([ratio]))
    # Trailing zeros taken off, a scale that stays is 1 / 2**0.
    while multiplier[0] % 2 == 0 and shift[0] > 0:
        multiplier, shift = multiplier >> 1, shift - 1
    layer: Any
    if geometry is None:
        layer = QGlobalAveragePool(
            name=name,
            inputs=(value.layer,),
            gain=int(multiplier[0]),
            shift=int(shift[0]),
            in_zero=source.zero,
            out_zero=out.zero,
            out_scale=out.scale,
        )
    else:
        layer = QAveragePool(
            name=name,
            inputs=(value.layer,),
            kernel=geometry.kernel,
            stride=geometry.stride,
            pad=geometry.pad,
            count_pad=count_pad,
            multiplier=int(multiplier[0]),
            shift=int(shift[0]),
            in_zero=source.zero,
            out_zero=out.zero,
        )
    walk.finished(node, layer, out, value)


def _mean_window(
    walk: QuantisedWalk, node: Any, attributes: Attributes, value: Value
) -> tuple[ConvGeometry | None, bool]:
    """Window of an average, None for the whole map; and whether its padding counts."""
    if attributes.get("channels_last", 0):
        raise Unsupported("channels_last")
    if "Global" in node.op_type:
        return None, False
    kernel = tuple(attributes["kernel_shape"])
    count_pad = bool(attributes.get("count_include_pad", 0))
    geometry = window(attributes, kernel, value, ceil=True)
    if count_pad and geometry != window(attributes, kernel, value):
        raise Unsupported("ceil_mode with padding that counts")
    whole = value.shape is not None and kernel == value.shape[1:] and not any(geometry.pad)
    return (None, False) if whole else (geometry, count_pad)


def _average(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node)
    geometry, count_pad = _mean_window(walk, node, attributes, value)
    name = walk.name("pool")
    walk.waiting[node.output[0]] = Waiting(
        finish=lambda end, out: _mean(walk, end, value, geometry, count_pad, name, out)
    )


def _q_average(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.coded(node, 0)
    geometry, count_pad = _mean_window(walk, node, attributes, value)
    out = walk.encoding(node, 3, 4)
    _mean(walk, node, value, geometry, count_pad, walk.name("pool"), out)


def _lrn(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node)
    name = walk.name("norm")
    if attributes["size"] != 5:
        raise Unsupported(f"a window of {attributes['size']}, not 5")
    settings: dict[str, Any] = {
        "alpha": float(f"{attributes.get('alpha', 1e-4):.7g}"),
        "beta": float(f"{attributes.get('beta', 0.75):.7g}"),
        "k": float(f"{attributes.get('bias', 1.0):.7g}"),
        "size": 5,
    }

    def finish(end: Any, out: Encoding) -> None:
        source = walk.of(value)
        if source.zero or out.zero:
            raise Unsupported(f"zero points of {source.zero} and {out.zero}, not 0")
        table, difference, shift = lrn_table(in_scale=source.scale, out_scale=out.scale, **settings)
        layer = QLrn(
            name=name,
            inputs=(value.layer,),
            table=table,
            difference=difference,
            shift=shift,
            **settings,
        )
        walk.finished(end, layer, out, value)

    walk.waiting[node.output[0]] = Waiting(finish=finish)


def _pool(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node, padded=True)
    FLOAT_NODES["MaxPool"](walk, node, attributes)
    made = walk.values[node.output[0]].layer
    walk.codes[made] = walk.of(value)
    walk.pooled[made] = node.output[0]


def _clip(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    least, most = (0.0, np.inf) if node.op_type == "Relu" else (-np.inf, np.inf)
    least, most = attributes.get("min", least), attributes.get("max", most)
    for index, what in ((1, "minimum"), (2, "maximum")):
        if len(node.input) > index and node.input[index]:
            given = float(walk.constant(node, index, what).reshape(-1)[0])
            least, most = (given, most) if index == 1 else (least, given)
    if least != 0:
        raise Unsupported(f"from {least:g}, not from 0")
    waiting = walk.waiting.get(node.input[0])
    if waiting is None:
        value = walk.value(node)
        if walk.of(value).zero or np.isfinite(most):
            raise Unsupported("of a quantised map that may be negative")
        walk.alias(node, value)
        return
    if walk.graph.uses[node.input[0]] != 1:
        raise Unsupported("what it rectifies is read by other nodes too")
    limit = min(most, np.inf if waiting.limit is None else waiting.limit)
    walk.waiting[node.output[0]] = replace(waiting, limit=limit)


QUANTISED_NODES: dict[str, Handler] = {
    **SHAPE_NODES,
    **LOGITS_NODES,
    "Pad": FLOAT_NODES["Pad"],
    "Add": _add,
    "AveragePool": _average,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": _constant_arithmetic,
    "Gemm": _gemm,
    "GlobalAveragePool": _average,
    "LRN": _lrn,
    "MatMul": _gemm,
    "MaxPool": _pool,
    "Mul": _constant_arithmetic,
    "QGemm": _q_gemm,
    "QLinearAdd": _q_add,
    "QLinearAveragePool": _q_average,
    "QLinearConcat": _q_concat,
    "QLinearConv": _q_conv,
    "QLinearGlobalAveragePool": _q_average,
    "QLinearMatMul": _q_gemm,
    "QuantizeLinear": _quantize,
    "Relu": _clip,
    "Round": _round,
    "Sub": _constant_arithmetic,
}
