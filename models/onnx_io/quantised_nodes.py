"""Nodes of quantised ONNX graphs and the layers they become: QDQ and QOperator form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.models.graph.graph import (
    INPUT,
    QAdd,
)
from penstock.models.onnx_io.float_nodes import FLOAT_NODES, SHAPE_NODES
from penstock.models.onnx_io.logits import LOGITS_NODES, with_constant
from penstock.models.onnx_io.quantised_layers import add_conv, add_fc, rescale
from penstock.models.onnx_io.quantised_maps import MAP_NODES
from penstock.models.onnx_io.quantised_traversal import (
    Finish,
    QuantisedTraversal,
    Waiting,
    alike,
    out_type,
)
from penstock.models.onnx_io.quantised_weights import Weights, integer_weights
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import Unsupported, Value, window
from penstock.models.quant.calibrate import Encoding
from penstock.models.quant.rescale import add_arrays

__all__ = ["QUANTISED_NODES", "QUANTISED_ONLY"]

Attributes = dict[str, Any]
Array = NDArray[Any]

# Beyond any accumulator, and exact in float64.
_LARGEST_BIAS = 2.0**52

# Node types that make a graph quantised.
QUANTISED_ONLY = {
    "DequantizeLinear", "QuantizeLinear", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm",
    "QLinearConcat", "QLinearAveragePool", "QLinearGlobalAveragePool", "ConvInteger",
    "MatMulInteger", "DynamicQuantizeLinear",
}  # fmt: skip


def _quantize(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    out = traversal.encoding(node, 1, 2, signed=out_type(node) == TensorProto.INT8)
    if node.input[0] in traversal.waiting:
        _quantize_waiting(traversal, node, out)
        return
    value = traversal.value(node)
    if value.layer == INPUT and INPUT not in traversal.codes:
        traversal.codes[INPUT] = out
    known = traversal.of(value)
    if value.layer and not alike(known, out):
        rescale(traversal, node, value, out, traversal.name("rescale"))
        return
    traversal.alias(node, value, encoding=None)
    traversal.tensors.setdefault(value.layer, node.output[0])


def _quantize_waiting(traversal: QuantisedTraversal, node: Any, out: Encoding) -> None:
    """Finish a float node, once for each encoding that its readers want."""
    waiting = traversal.waiting[node.input[0]]
    limit = waiting.limit
    # The limit must not cut off codes: the largest is what it rounds to, or less.
    if limit is not None and (out.zero != 0 or np.rint(limit / out.scale) < 255):
        raise Unsupported(
            f"a clip to 0 .. {limit:g} that is not the range of its codes: zero point "
            f"{out.zero}, scale {out.scale:g}"
        )
    made = traversal.coded_as.setdefault(node.input[0], [])
    for known, value in made:
        if alike(known, out):
            traversal.values[node.output[0]] = replace(value, sole=False, encoding=None)
            return
    name = traversal.variant(waiting.name)
    try:
        waiting.finish(node, out, name)
    except (Unsupported, ValueError) as error:
        label = waiting.node.name or waiting.node.output[0]
        raise Unsupported(f"of {waiting.node.op_type} {label}: {error}") from None
    made.append((out, traversal.values[node.output[0]]))


def _dequantize(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    name = node.input[0]
    if name in traversal.constants:
        scale = traversal.constant(node, 1, "scale").reshape(-1)
        zeros = traversal.optional(node, 2)
        if attributes.get("block_size", 0):
            raise Unsupported(f"scales of blocks of {attributes['block_size']}")
        values = traversal.constants[name]
        axis = attributes.get("axis", 1) if values.ndim > 1 else 0
        traversal.integers[node.output[0]] = integer_weights(values, scale, zeros, axis)
        return
    traversal.alias(node, traversal.coded(node, 0))


def _real_weights(traversal: QuantisedTraversal, node: Any, index: int) -> Weights:
    name = node.input[index] if index < len(node.input) else ""
    if name not in traversal.integers:
        raise Unsupported("its weights are not quantised constants")
    return traversal.integers[name]


def _real_bias(
    traversal: QuantisedTraversal, node: Any, source: Encoding, weights: Weights
) -> Array:
    """The bias in accumulator units."""
    count = len(weights.values)
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        return np.zeros(count, np.int64)
    unit = np.float64(np.float32(source.scale)) * weights.scale
    if name in traversal.integers:
        real = traversal.integers[name].real
    else:
        real = traversal.weights(node, 2, "bias", 1).astype(np.float64)
    return _in_units(real, unit, count)


def _in_units(real: Array, unit: Array, count: int) -> Array:
    """A bias in units of the accumulator."""
    if real.shape != (count,):
        raise Unsupported(f"a bias of shape {real.shape} for {count} channels")
    bias = np.rint(real / unit)
    if not (np.abs(bias) < _LARGEST_BIAS).all():
        worst = int(np.argmax(np.where(np.isfinite(bias), np.abs(bias), np.inf)))
        raise Unsupported(
            f"a bias of {real[worst]:g} in channel {worst}: {bias[worst]:.3g} units of its "
            "accumulator"
        )
    return bias.astype(np.int64)


def _conv(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, padded=True)
    weights = _real_weights(traversal, node, 1)
    if weights.values.ndim != 4 or value.fill != 0:
        raise Unsupported(f"weights of shape {weights.values.shape}")
    geometry = window(attributes, weights.values.shape[2:], value)
    bias = _real_bias(traversal, node, traversal.of(value), weights)
    _wait(
        traversal,
        node,
        traversal.name("conv", weighted=True),
        traversal.of(value).scale * weights.scale.astype(np.float64),
        bias,
        lambda bias: (
            lambda end, out, name: add_conv(
                traversal, end, value, weights, bias, geometry, name, out
            )
        ),
    )


def _wait(
    traversal: QuantisedTraversal,
    node: Any,
    name: str,
    unit: Array,
    bias: Array,
    finish: Callable[[Array], Finish],
    last: Callable[[Array], Callable[[Any], None]] | None = None,
) -> None:
    """Let a node with weights wait for its encoding, and for a bias that may be a node of its own.

    `unit` is what one of the accumulator's units is worth; `finish` and `last` return those of
    `Waiting` for a bias in these units.
    """

    def waiting(bias: Array) -> Waiting:
        return Waiting(
            name=name,
            node=node,
            finish=finish(bias),
            last=None if last is None else last(bias),
            biased=lambda real: waiting(
                bias + _in_units(np.broadcast_to(real, bias.shape), unit, len(bias))
            ),
        )

    traversal.waiting[node.output[0]] = waiting(bias)


def _gemm(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    weights = _real_weights(traversal, node, 1)
    _check_matrix(weights, attributes)
    weights = weights.by_output(0 if attributes.get("transB", 0) else 1)
    bias = _real_bias(traversal, node, traversal.of(value), weights)
    name = traversal.name("fc", weighted=True)
    _wait(
        traversal,
        node,
        name,
        traversal.of(value).scale * weights.scale.astype(np.float64),
        bias,
        lambda bias: lambda end, out, name: add_fc(traversal, end, value, weights, bias, name, out),
        lambda bias: lambda end: add_fc(traversal, end, value, weights, bias, name, None),
    )


def _check_matrix(weights: Weights, attributes: Attributes) -> None:
    for name in ("alpha", "beta"):
        if attributes.get(name, 1) != 1:
            raise Unsupported(f"{name} {attributes[name]:g}")
    if attributes.get("transA", 0):
        raise Unsupported("transA")
    if weights.values.ndim != 2:
        raise Unsupported(f"weights of {weights.values.ndim} dimensions, not a matrix")


def _q_conv(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.coded(node, 0, padded=True)
    weights = traversal.quantised(node, 3, 4, 5)
    if weights.values.ndim != 4:
        raise Unsupported(f"weights of shape {weights.values.shape}")
    bias = traversal.optional(node, 8)
    if bias is None:
        bias = np.zeros(len(weights.values), np.int64)
    geometry = window(attributes, weights.values.shape[2:], value)
    name = traversal.name("conv", weighted=True)
    add_conv(traversal, node, value, weights, bias, geometry, name, traversal.encoding(node, 6, 7))


def _q_gemm(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.coded(node, 0)
    plain = node.op_type == "QLinearMatMul"
    axis = 0 if not plain and attributes.get("transB", 0) else 1
    weights = traversal.quantised(node, 3, 4, 5, axis=axis)
    _check_matrix(weights, attributes)
    weights = weights.by_output(axis)
    bias = None if plain else traversal.optional(node, 6)
    if bias is None:
        bias = np.zeros(len(weights.values), np.int64)
    if bias.size != len(weights.values):
        raise Unsupported(f"a bias of {bias.size} values for {len(weights.values)} outputs")
    scale = 6 if plain else 7
    out = traversal.encoding(node, scale, scale + 1) if len(node.input) > scale else None
    name = traversal.name("fc", weighted=True)
    add_fc(traversal, node, value, weights, bias.reshape(-1), name, out)


def _add_maps(
    traversal: QuantisedTraversal, node: Any, first: Value, second: Value, name: str, out: Encoding
) -> None:
    if first.shape != second.shape and None not in (first.shape, second.shape):
        raise Unsupported(f"maps of {first.shape} and {second.shape}")
    a, b = traversal.of(first), traversal.of(second)
    arrays = add_arrays((a.scale, a.zero), (b.scale, b.zero), (out.scale, out.zero))
    layer = QAdd(name=name, inputs=(first.layer, second.layer), **arrays)
    traversal.finished(node, layer, out, first, second)


def _constant_arithmetic(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    if any(name in traversal.logits for name in node.input):
        with_constant(traversal, node)
        return
    if INPUT in traversal.codes:
        raise Unsupported("only of the network's input before it is quantised")
    FLOAT_NODES[node.op_type](traversal, node, attributes)


def _round(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    if value.layer != INPUT or INPUT in traversal.codes:
        raise Unsupported("only of the network's input, to pixels")
    traversal.alias(node, value)


def _add(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    for source, other in (node.input, reversed(node.input)):
        constant = other in traversal.integers or other in traversal.constants
        if source in traversal.waiting and constant:
            _add_bias(traversal, node, source, other)
            return
        if source in traversal.values and other in traversal.integers:
            _add_vector(traversal, node, source, other)
            return
    if any(name in traversal.constants for name in node.input):
        _constant_arithmetic(traversal, node, attributes)
        return
    first, second = traversal.value(node, 0), traversal.value(node, 1)
    traversal.waiting[node.output[0]] = Waiting(
        name=traversal.name("add"),
        node=node,
        finish=lambda end, out, name: _add_maps(traversal, end, first, second, name, out),
    )


def _add_bias(traversal: QuantisedTraversal, node: Any, source: str, constant: str) -> None:
    """A constant added to what Conv, Gemm or MatMul computed, before it is quantised."""
    waiting = traversal.waiting[source]
    if waiting.biased is None or waiting.limit is not None:
        raise Unsupported("a constant can be added to Conv, Gemm and MatMul only")
    if traversal.graph.uses[source] != 1:
        raise Unsupported("what it is added to is read by other nodes too")
    real = _spread(traversal, constant, 3 if waiting.node.op_type == "Conv" else 1)
    traversal.waiting[node.output[0]] = waiting.biased(real)


def _spread(traversal: QuantisedTraversal, constant: str, dims: int) -> Array:
    """A constant as one number for each channel, or for all, of a map of so many dimensions."""
    if constant in traversal.integers:
        real = traversal.integers[constant].real
    else:
        real = traversal.constants[constant].astype(np.float64)
    along = real.ndim - dims
    if real.size > 1 and (along < 0 or real.shape[along] != real.size):
        raise Unsupported(f"a constant of shape {real.shape} is not one number for each channel")
    return real.reshape(-1)


def _add_vector(traversal: QuantisedTraversal, node: Any, source: str, constant: str) -> None:
    """A constant added to a quantised map."""
    value = traversal.value(node, list(node.input).index(source))
    if value.shape is None:
        raise Unsupported("a constant added to a map of unknown shape")
    real = np.broadcast_to(_spread(traversal, constant, len(value.shape)), value.shape[:1])
    traversal.waiting[node.output[0]] = Waiting(
        name=traversal.name("add"),
        node=node,
        finish=lambda end, out, name: rescale(traversal, end, value, out, name, real),
    )


def _q_add(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    first, second = traversal.coded(node, 0), traversal.coded(node, 3)
    _add_maps(traversal, node, first, second, traversal.name("add"), traversal.encoding(node, 6, 7))


def _clip(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    least, most = (0.0, np.inf) if node.op_type == "Relu" else (-np.inf, np.inf)
    least, most = attributes.get("min", least), attributes.get("max", most)
    for index, what in ((1, "minimum"), (2, "maximum")):
        if len(node.input) > index and node.input[index]:
            given = float(traversal.constant(node, index, what).reshape(-1)[0])
            least, most = (given, most) if index == 1 else (least, given)
    if least != 0:
        raise Unsupported(f"from {least:g}, not from 0")
    waiting = traversal.waiting.get(node.input[0])
    if waiting is None:
        value = traversal.value(node)
        if traversal.of(value).zero or np.isfinite(most):
            raise Unsupported("of a quantised map that may be negative")
        traversal.alias(node, value)
        return
    if traversal.graph.uses[node.input[0]] != 1:
        raise Unsupported("what it rectifies is read by other nodes too")
    limit = min(most, np.inf if waiting.limit is None else waiting.limit)
    traversal.waiting[node.output[0]] = replace(waiting, limit=limit)


QUANTISED_NODES: dict[str, Handler] = {
    **SHAPE_NODES,
    **LOGITS_NODES,
    **MAP_NODES,
    "Pad": FLOAT_NODES["Pad"],
    "Add": _add,
    "Clip": _clip,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": _constant_arithmetic,
    "Gemm": _gemm,
    "MatMul": _gemm,
    "Mul": _constant_arithmetic,
    "QGemm": _q_gemm,
    "QLinearAdd": _q_add,
    "QLinearConv": _q_conv,
    "QLinearMatMul": _q_gemm,
    "QuantizeLinear": _quantize,
    "Relu": _clip,
    "Round": _round,
    "Sub": _constant_arithmetic,
}
