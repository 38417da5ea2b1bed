"""The end of quantised ONNX graphs: logits as integers, their bias and scale as nodes of their own.

``MatMulInteger``, then ``Add``, ``Cast`` and ``Mul`` in this order, each of the last three or not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from penstock.models.onnx_io.float_nodes import SHAPE_NODES
from penstock.models.onnx_io.quantised_traversal import Logits, QuantisedWalk
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import Unsupported

__all__ = ["LOGITS_NODES", "with_constant"]

Attributes = dict[str, Any]


def _matmul_integer(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    value = walk.value(node)
    zeros = [walk.optional(node, index) for index in (2, 3)]
    if any(array is not None and array.any() for array in zeros):
        raise Unsupported("zero points")
    weight = walk.constant(node, 1, "weight")
    if weight.dtype != np.int8 or weight.ndim != 2:
        raise Unsupported(f"weights of {weight.ndim}-D {weight.dtype}")
    wide = weight.T.astype(np.int64)
    walk.logits[node.output[0]] = Logits(
        value=value,
        node=node,
        name=walk.name("fc", weighted=True),
        weight=wide,
        bias=np.zeros(len(wide), np.int64),
    )


def with_constant(walk: QuantisedWalk, node: Any) -> None:
    """Take an Add or Mul of logits and a constant."""
    source = next(name for name in node.input if name in walk.logits)
    logits = walk.logits[source]
    number = walk.constants[next(name for name in node.input if name != source)]
    count = len(logits.bias)
    if number.size not in (1, count) or (number.size > 1 and number.shape[-1] != count):
        raise Unsupported(f"a constant of shape {number.shape} for {count} logits")
    spread = np.broadcast_to(number.reshape(-1), (count,))
    if walk.graph.uses[source] != 1 or logits.steps is not None:
        raise Unsupported("of logits")
    if node.op_type == "Add" and number.dtype.kind == "i":
        walk.logits[node.output[0]] = replace(logits, bias=logits.bias + spread)
    elif node.op_type == "Mul" and number.dtype.kind == "f" and (spread > 0).all():
        walk.logits[node.output[0]] = replace(logits, steps=spread.astype(np.float64))
    else:
        raise Unsupported("of logits")


def _cast(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    if node.input[0] not in walk.logits:
        raise Unsupported("of anything but logits")
    walk.logits[node.output[0]] = walk.logits[node.input[0]]


def _softmax(walk: QuantisedWalk, node: Any, attributes: Attributes) -> None:
    # The classes' order is the logits'; the runtime computes probabilities itself.
    source = node.input[0]
    if source in walk.logits:
        walk.logits[node.output[0]] = walk.logits[source]
    elif source in walk.waiting:
        walk.waiting[node.output[0]] = walk.waiting[source]
    else:
        SHAPE_NODES["Softmax"](walk, node, attributes)


LOGITS_NODES: dict[str, Handler] = {
    "Cast": _cast,
    "LogSoftmax": _softmax,
    "MatMulInteger": _matmul_integer,
    "Softmax": _softmax,
}
