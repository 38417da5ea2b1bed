"""The end of quantised ONNX graphs: logits as integers, their bias and scale as nodes of their own.

``MatMulInteger``, then ``Add``, ``Cast`` and ``Mul`` in this order, each of the last three or not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from penstock.models.onnx_io.float_nodes import SHAPE_NODES
from penstock.models.onnx_io.quantised_traversal import Logits, QuantisedTraversal
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import Unsupported

__all__ = ["LOGITS_NODES", "with_constant"]

Attributes = dict[str, Any]


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
    if source in traversal.logits:
        traversal.logits[node.output[0]] = traversal.logits[source]
    elif source in traversal.waiting:
        traversal.waiting[node.output[0]] = traversal.waiting[source]
    else:
        SHAPE_NODES["Softmax"](traversal, node, attributes)


LOGITS_NODES: dict[str, Handler] = {
    "Cast": _cast,
    "LogSoftmax": _softmax,
    "MatMulInteger": _matmul_integer,
    "Softmax": _softmax,
}
