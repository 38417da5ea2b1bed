"""Traversal of a quantised ONNX graph: maps with encodings, and nodes whose encoding follows later.

In QDQ form a float node is between DequantizeLinear and QuantizeLinear; it waits until the latter
gives the scale of its output.  int8 maps are offset by 128 to uint8.  All scales are kept; if a
node changes a map's scale, a 1x1 convolution rescales the map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.models.golden.fixed import MULTIPLIER_BITS
from penstock.models.graph.graph import INPUT, QFc
from penstock.models.onnx_io.quantised_weights import Weights, integer_weights
from penstock.models.onnx_io.read import Graph
from penstock.models.onnx_io.traversal import Handler, Traversal
from penstock.models.onnx_io.values import NO_PAD, Unsupported, Value, layer_name
from penstock.models.quant.calibrate import Encoding

__all__ = [
    "Finish",
    "Last",
    "Output",
    "QuantisedTraversal",
    "Waiting",
    "alike",
    "out_type",
]

Array = NDArray[Any]

# Nodes that may read the network's input before it is quantised.
_OF_FLOATS = {"Add", "Div", "Identity", "Mul", "QuantizeLinear", "Round", "Sub"}

# Of a node that makes the codes, their encoding, and the layer's name.
Finish = Callable[[Any, Encoding, str], None]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A float node whose output's scale is not known yet.

    Parameters
    ----------
    name : str
        Of the layer.
    node : NodeProto
        The float node.
    finish : callable
        Adds the layer, given the node that makes the codes, their encoding, and the layer's name.
    last : callable or None
        Adds it as the network's last layer, without a scale.
    limit : float or None
        Upper limit of the output's clipping, whose lower limit is 0; None: no clipping.
    biased : callable or None
        Returns the same with a bias of floats added; None where that cannot be.
    """

    name: str
    node: Any
    finish: Finish
    last: Callable[[Any], None] | None = None
    limit: float | None = None
    biased: Callable[[Array], Waiting] | None = None


def _zero(array: Array | None, signed: bool) -> int:
    """The zero point as uint8; int8 is offset by 128.  `signed`: what one left out is of."""
    if array is None:
        return 128 if signed else 0
    if array.size != 1 or array.dtype not in (np.uint8, np.int8):
        raise Unsupported(f"a zero point of {array.size} {array.dtype}")
    return int(array.reshape(-1)[0]) + (128 if array.dtype == np.int8 else 0)


def alike(first: Encoding, second: Encoding) -> bool:
    """Whether two encodings differ by no more than a multiplier's rounding."""
    near = abs(first.scale / second.scale - 1) < 2.0**-MULTIPLIER_BITS
    return near and first.zero == second.zero


@dataclass(frozen=True)
class Output:
    """Stands for a node that the file does not have."""

    name: str

    @property
    def output(self) -> tuple[str]:
        """What it makes."""
        return (self.name,)


class Last(Protocol):
    """A last layer that is not complete until the graph ends (`models.onnx_io.logits`)."""

    def finish(self, traversal: QuantisedTraversal) -> None:
        """Add the layer."""


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
    coded_as : dict of lists of (Encoding, Value)
        The maps that a waiting node has become, by the tensor that it makes: each of its readers
        may quantise it in its own way.
    signed : set of str
        Tensors of int8 codes.
    integers : dict of Weights
        Constants after DequantizeLinear, by tensor.
    logits : dict of Last
        Incomplete last layers, by tensor.
    probabilities : set of str
        What Softmax made of these and of waiting nodes: nothing may read them.
    """

    def __init__(self, graph: Graph, handlers: Mapping[str, Handler]) -> None:
        super().__init__(graph, handlers)
        self.codes: dict[str, Encoding] = {}
        self.tensors: dict[str, str] = {}
        self.pooled: dict[str, str] = {}
        self.waiting: dict[str, Waiting] = {}
        self.coded_as: dict[str, list[tuple[Encoding, Value]]] = {}
        self.signed = {graph.input} if graph.input_type == TensorProto.INT8 else set()
        self.integers: dict[str, Weights] = {}
        self.logits: dict[str, Last] = {}
        self.probabilities: set[str] = set()

    def value(
        self, node: Any, index: int = 0, *, padded: bool = False, reshaped: bool = False
    ) -> Value:
        name = node.input[index] if index < len(node.input) else ""
        known = name not in self.waiting and name not in self.logits
        value = super().value(node, index, padded=padded, reshaped=reshaped) if known else None
        raw = value is not None and value.layer == INPUT and INPUT not in self.codes
        if value is None or (raw and node.op_type not in _OF_FLOATS):
            raise Unsupported("what it reads is not quantised")
        return value

    def run(self) -> Value:
        value = super().run()
        for name, tensor in self.pooled.items():
            self.tensors.setdefault(name, tensor)
        output = self.graph.output
        try:
            if output in self.logits:
                self.logits[output].finish(self)
            elif output in self.waiting:
                last = self.waiting[output].last
                if last is None or self.waiting[output].limit is not None:
                    raise ValueError(f"{self.graph.path}: its output {output} is not quantised")
                last(self.graph.nodes[-1])
        except Unsupported as error:
            node = self.graph.nodes[-1]
            label = f"{node.op_type} {node.name or node.output[0]}"
            raise ValueError(f"{self.graph.path}: unsupported: {label} ({error})") from None
        return value

    def located(self) -> dict[str, str]:
        return dict(self.tensors)

    def variant(self, name: str) -> str:
        """Return a layer's name, or one like it if there is such a layer already."""
        return layer_name(name, "", self.layers) if name in self.layers else name

    def optional(self, node: Any, index: int) -> Array | None:
        """Return a constant input that may be left out."""
        if index >= len(node.input) or not node.input[index]:
            return None
        return self.constant(node, index, "zero point")

    def encoding(self, node: Any, scale: int, zero: int, *, signed: bool = False) -> Encoding:
        """Return the encoding that two inputs of a node state.

        `signed` says whether codes without a zero point are int8.
        """
        steps = self.constant(node, scale, "scale")
        if steps.size != 1 or not np.isfinite(steps).all() or not steps.min() > 0:
            raise Unsupported(f"a scale of {steps.size} values, or not a positive one")
        return Encoding(float(steps.reshape(-1)[0]), _zero(self.optional(node, zero), signed))

    def coded(self, node: Any, index: int, *, padded: bool = False) -> Value:
        """Return an input of a node whose scale and zero point are its next inputs."""
        signed = node.input[index] in self.signed
        stated = self.encoding(node, index + 1, index + 2, signed=signed)
        if node.input[index] == self.graph.input and self.graph.input_type != TensorProto.FLOAT:
            self.codes.setdefault(INPUT, stated)
        value = self.value(node, index, padded=padded)
        # The reader's encoding counts: a zero point may also be a bias of the producer.  Only how
        # the input is made from floats is what its QuantizeLinear says.
        if value.layer != INPUT or self.graph.input_type != TensorProto.FLOAT:
            self.codes[value.layer] = stated
        if value.pad != NO_PAD:
            if value.fill + 128 * signed != stated.zero:
                raise Unsupported(
                    f"padding of the code {value.fill:g}, which is not its zero point"
                )
            value = replace(value, fill=0.0)
        return replace(value, encoding=stated)

    def rectified(self, name: str) -> bool:
        """Whether a map has no codes below that of 0."""
        return name in self.codes and self.codes[name].zero == 0

    def of(self, value: Value) -> Encoding:
        """Return the encoding of a map."""
        # After an unsupported node any encoding will do: the graph is refused in the end.
        return value.encoding or self.codes.get(value.layer, Encoding(1.0, 0))

    def finished(self, node: Any, layer: Any, encoding: Encoding, *sources: Value) -> None:
        """Add a layer with its encoding."""
        flat = isinstance(layer, QFc) or {len(source.shape or ()) for source in sources} == {1}
        self.append(node, layer, *sources, flat=flat)
        self.codes[layer.name] = encoding
        self.tensors[layer.name] = node.output[0]

    def quantised(self, node: Any, index: int, scale: int, zero: int, *, axis: int = 0) -> Weights:
        """Return constant weights of the QOperator form, whose outputs are along `axis`."""
        values = self.constant(node, index, "weight")
        steps = self.constant(node, scale, "weight scale").reshape(-1)
        zeros = self.optional(node, zero)
        return integer_weights(values, steps, zeros, axis)

    def _take(self, node: Any) -> None:
        if self.probabilities.intersection(node.input):
            raise Unsupported("comes after Softmax")
        super()._take(node)
        if self._makes_signed(node):
            self.signed.update(node.output)

    def _makes_signed(self, node: Any) -> bool:
        """Whether a node's codes are int8."""
        zero = _OUT_ZERO.get(node.op_type)
        if zero is None:
            # Pooling, padding and joining keep the type; what makes floats is not asked.
            return bool(node.input) and node.input[0] in self.signed
        if zero < len(node.input) and node.input[zero]:
            return self.constants[node.input[zero]].dtype == np.int8
        return out_type(node) == TensorProto.INT8


# Nodes that make codes, and the input that is their zero point.
_OUT_ZERO = {
    "QGemm": 8,
    "QLinearAdd": 7,
    "QLinearAveragePool": 4,
    "QLinearConcat": 1,
    "QLinearConv": 7,
    "QLinearGlobalAveragePool": 4,
    "QLinearMatMul": 7,
    "QuantizeLinear": 2,
}


def out_type(node: Any) -> int:
    """Return the type that QuantizeLinear names for codes without a zero point, uint8 unless told.

    Raises
    ------
    Unsupported
        If it is neither uint8 nor int8.
    """
    named = next((a.i for a in node.attribute if a.name == "output_dtype"), 0)
    if named not in (0, TensorProto.UINT8, TensorProto.INT8):
        kinds = {number: kind for kind, number in TensorProto.DataType.items()}
        raise Unsupported(f"codes of type {kinds.get(named, named)}: only uint8 and int8")
    return int(named or TensorProto.UINT8)
