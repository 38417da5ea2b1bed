"""Traversal of a quantised ONNX graph: maps with encodings, and nodes whose encoding follows later.

In QDQ form a float node is between DequantizeLinear and QuantizeLinear; it waits until the latter
gives the scale of its output.  int8 maps are offset by 128 to uint8.  All scales are kept; if a
node changes a map's scale, a 1x1 convolution rescales the map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.models.golden.fixed import MULTIPLIER_BITS
from penstock.models.graph.graph import INPUT, ConvGeometry, QConv, QFc
from penstock.models.onnx_io.read import Graph
from penstock.models.onnx_io.traversal import Handler, Traversal
from penstock.models.onnx_io.values import Unsupported, Value
from penstock.models.quant.calibrate import Encoding
from penstock.models.quant.rescale import conv_arrays

__all__ = [
    "Logits",
    "QuantisedTraversal",
    "Waiting",
    "Weights",
    "add_conv",
    "add_fc",
    "alike",
    "integer_weights",
    "rescale",
]

Array = NDArray[Any]

# Nodes that may read the network's input before it is quantised.
_OF_FLOATS = {"Add", "Div", "Identity", "Mul", "QuantizeLinear", "Round", "Sub"}

Finish = Callable[[Any, Encoding], None]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A float node whose output's scale is not known yet.

    Parameters
    ----------
    finish : callable
        Adds the layer, given the node that makes the codes and their encoding.
    last : callable or None
        Adds it as the network's last layer, without a scale.
    limit : float or None
        Upper limit of the output's clipping, whose lower limit is 0; None: no clipping.
    """

    finish: Finish
    last: Callable[[Any], None] | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Weights:
    """A quantised constant: integers less their zero point, and a scale for each channel."""

    values: Array
    scale: Array


def _zero(array: Array | None) -> int:
    """The zero point as uint8; int8 is offset by 128."""
    if array is None:
        return 0
    if array.size != 1 or array.dtype not in (np.uint8, np.int8):
        raise Unsupported(f"a zero point of {array.size} {array.dtype}")
    return int(array.reshape(-1)[0]) + (128 if array.dtype == np.int8 else 0)


def alike(first: Encoding, second: Encoding) -> bool:
    """Whether two encodings differ by no more than a multiplier's rounding."""
    near = abs(first.scale / second.scale - 1) < 2.0**-MULTIPLIER_BITS
    return near and first.zero == second.zero


@dataclass(frozen=True, kw_only=True)
class Logits:
    """A last layer whose bias and scale are nodes of their own.

    Parameters
    ----------
    value : Value
        Its input: raw codes, so that the zero point is in the bias already.
    node : NodeProto
    name : str
    weight : integer array (out, in)
    bias : integer array (out,)
    steps : float array (out,) or None
        Step of each logit; None until known.
    """

    value: Value
    node: Any
    name: str
    weight: Array
    bias: Array
    steps: Array | None = None

    def finish(self, traversal: QuantisedTraversal) -> None:
        """Add the layer."""
        source = traversal.of(self.value)
        steps = np.full(len(self.bias), source.scale) if self.steps is None else self.steps
        weights = Weights(self.weight, np.asarray(steps / source.scale, np.float32))
        bias = self.bias + source.zero * self.weight.sum(axis=1)
        add_fc(traversal, self.node, self.value, weights, bias, self.name, None)


class QuantisedTraversal(Traversal):
    """The traversal of a quantised graph.

    Members
    -------
    codes : dict of Encoding
        Of each map by layer name.
    tensors : dict of str
        The tensor that holds each layer's codes, by layer name.
    pooled : dict of str
        The same of max pooling, where its output may or may not be quantised once more.
    waiting : dict of Waiting
        Float nodes by the tensor they make.
    integers : dict of Weights
        Constants after DequantizeLinear, by tensor.
    logits : dict of Logits
        Incomplete last layers, by tensor.
    """

    def __init__(self, graph: Graph, handlers: Mapping[str, Handler]) -> None:
        super().__init__(graph, handlers)
        self.codes: dict[str, Encoding] = {}
        self.tensors: dict[str, str] = {}
        self.pooled: dict[str, str] = {}
        self.waiting: dict[str, Waiting] = {}
        self.integers: dict[str, Weights] = {}
        self.logits: dict[str, Logits] = {}

    def value(self, node: Any, index: int = 0, *, padded: bool = False) -> Value:
        name = node.input[index] if index < len(node.input) else ""
        known = name not in self.waiting and name not in self.logits
        value = super().value(node, index, padded=padded) if known else None
        raw = value is not None and value.layer == INPUT and INPUT not in self.codes
        if value is None or (raw and node.op_type not in _OF_FLOATS):
            raise Unsupported("what it reads is not quantised")
        return value

    def run(self) -> Value:
        value = super().run()
        for name, tensor in self.pooled.items():
            self.tensors.setdefault(name, tensor)
        output = self.graph.output
        if output in self.logits:
            self.logits[output].finish(self)
        elif output in self.waiting:
            node = self.graph.nodes[-1]
            last = self.waiting[output].last
            if last is None or self.waiting[output].limit is not None:
                raise ValueError(f"{self.graph.path}: its output {output} is not quantised")
            last(node)
        return value

    def located(self) -> dict[str, str]:
        return dict(self.tensors)

    def optional(self, node: Any, index: int) -> Array | None:
        """Return a constant input that may be left out."""
        if index >= len(node.input) or not node.input[index]:
            return None
        return self.constant(node, index, "zero point")

    def encoding(self, node: Any, scale: int, zero: int) -> Encoding:
        """Return the encoding that two inputs of a node state."""
        steps = self.constant(node, scale, "scale")
        if steps.size != 1 or not np.isfinite(steps).all() or not steps.min() > 0:
            raise Unsupported(f"a scale of {steps.size} values, or not a positive one")
        return Encoding(float(steps.reshape(-1)[0]), _zero(self.optional(node, zero)))

    def coded(self, node: Any, index: int, *, padded: bool = False) -> Value:
        """Return an input of a node whose scale and zero point are its next inputs."""
        stated = self.encoding(node, index + 1, index + 2)
        if node.input[index] == self.graph.input and self.graph.input_type != TensorProto.FLOAT:
            self.codes.setdefault(INPUT, stated)
        value = self.value(node, index, padded=padded)
        # The reader's encoding counts: a zero point may also be a bias of the producer.
        self.codes[value.layer] = stated
        return replace(value, encoding=stated)

    def of(self, value: Value) -> Encoding:
        """Return the encoding of a map."""
        # After an unsupported node any encoding will do: the graph is refused in the end.
        return value.encoding or self.codes.get(value.layer, Encoding(1.0, 0))

    def finished(self, node: Any, layer: Any, encoding: Encoding, *sources: Value) -> None:
        """Add a layer with its encoding."""
        flat = isinstance(layer, QFc)
        self.append(node, layer, *sources, flat=flat)
        self.codes[layer.name] = encoding
        self.tensors[layer.name] = node.output[0]

    def quantised(self, node: Any, index: int, scale: int, zero: int) -> Weights:
        """Return constant weights of the QOperator form."""
        values = self.constant(node, index, "weight")
        steps = self.constant(node, scale, "weight scale").reshape(-1)
        zeros = self.optional(node, zero)
        return integer_weights(values, steps, zeros)


def integer_weights(values: Array, scale: Array, zeros: Array | None) -> Weights:
    if values.dtype not in (np.int8, np.uint8, np.int32):
        raise Unsupported(f"weights of {values.dtype}")
    wide = values.astype(np.int64)
    if zeros is not None:
        shape = (-1, *[1] * (values.ndim - 1)) if zeros.size > 1 else (1,) * values.ndim
        wide = wide - zeros.astype(np.int64).reshape(shape)
    return Weights(wide, scale.astype(np.float32))


def _steps(source: Encoding, weights: Weights, out: Encoding, count: int) -> Array:
    """Output steps for each unit of the accumulator, in onnxruntime's order of float32."""
    scale = np.float32(source.scale) * weights.scale / np.float32(out.scale)
    return np.asarray(np.broadcast_to(scale, (count,)), np.float32)


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
        arrays |= {"multiplier": np.ones(count, np.int64), "shift": np.zeros(count, np.int64)}
    layer = QFc(name=name, inputs=(value.layer,), relu=out is not None, out_scale=steps, **arrays)
    traversal.finished(node, layer, made, value)


def rescale(traversal: QuantisedTraversal, node: Any, value: Value, out: Encoding) -> None:
    """Rescale a map to another encoding."""
    if value.shape is None or len(value.shape) != 3:
        raise Unsupported("a change of the scale of a flat map")
    channels = value.shape[0]
    # 64 / 64: the finer the accumulator's unit, the better the zero point fits.
    weights = Weights(np.full((channels, 1, 1, 1), 64), np.full(1, 1 / 64, np.float32))
    geometry = ConvGeometry(kernel=(1, 1), groups=channels)
    bias = np.zeros(channels, np.int64)
    add_conv(traversal, node, value, weights, bias, geometry, traversal.name("rescale"), out)
