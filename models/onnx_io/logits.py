"""The end of quantised ONNX graphs: logits as integers, their bias and scale as nodes of their own.

``MatMulInteger``, then ``Add``, ``Cast`` and ``Mul`` in this order, each of the last three or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.onnx_io.float_nodes import SHAPE_NODES
from penstock.models.onnx_io.quantised_layers import add_fc
from penstock.models.onnx_io.quantised_traversal import QuantisedTraversal
from penstock.models.onnx_io.quantised_weights import Weights
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import Unsupported, Value

__all__ = ["LOGITS_NODES", "with_constant"]

Array = NDArray[Any]
Attributes = dict[str, Any]


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


def _matmul_integer(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    zeros = [traversal.optional(node, index) for index in (2, 3)]
    if any(array is not None and array.any() for array in zeros):
        raise Unsupported("zero points")
    weight = traversal.constant(node, 1, "weight")
    if weight.dtype != np.int8 or weight.ndim != 2:
        raise Unsupported(f"weights of {weight.ndim}-D {weight.dtype}")
    wide = weight.T.astype(np.int64)
    traversal.logits[node.output[0]] = Logits(
        value=value,
        node=node,
        name=traversal.name("fc", weighted=True),
        weight=wide,
        bias=np.zeros(len(wide), np.int64),
    )


def with_constant(traversal: QuantisedTraversal, node: Any) -> None:
    """Take an Add or Mul of logits and a constant."""
    source = next(name for name in node.input if name in traversal.logits)
    logits = traversal.logits[source]
    assert isinstance(logits, Logits)
    number = traversal.constants[next(name for name in node.input if name != source)]
    count = len(logits.bias)
    if number.size not in (1, count) or (number.size > 1 and number.shape[-1] != count):
        raise Unsupported(f"a constant of shape {number.shape} for {count} logits")
    spread = np.broadcast_to(number.reshape(-1), (count,))
    if traversal.graph.uses[source] != 1 or logits.steps is not None:
        raise Unsupported("of logits")
    if node.op_type == "Add" and number.dtype.kind == "i":
        traversal.logits[node.output[0]] = replace(logits, bias=logits.bias + spread)
    elif node.op_type == "Mul" and number.dtype.kind == "f" and (spread > 0).all():
        traversal.logits[node.output[0]] = replace(logits, steps=spread.astype(np.float64))
    else:
        raise Unsupported("of logits")


def _cast(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    if node.input[0] not in traversal.logits:
        raise Unsupported("of anything but logits")
    traversal.logits[node.output[0]] = traversal.logits[node.input[0]]


def _softmax(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    # The classes' order is the logits'; the runtime computes probabilities itself.
    source = node.input[0]
    if source in traversal.logits or source in traversal.waiting:
        known: dict[str, Any] = (
            traversal.logits if source in traversal.logits else traversal.waiting
        )
        known[node.output[0]] = known[source]
        traversal.probabilities.add(node.output[0])
    else:
        SHAPE_NODES["Softmax"](traversal, node, attributes)


LOGITS_NODES: dict[str, Handler] = {
    "Cast": _cast,
    "LogSoftmax": _softmax,
    "MatMulInteger": _matmul_integer,
    "Softmax": _softmax,
}
