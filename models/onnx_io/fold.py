"""Nodes whose inputs are all constants: computed while the graph is read.

Exporters compute shapes in the graph (``Shape``, ``Gather``, ``Concat`` and so on) where the batch
is dynamic, and transpose weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from penstock.models.onnx_io.values import Unsupported

__all__ = ["fold"]

Array = NDArray[Any]

# As large as their inputs, whatever these are.
_SAME_SIZE = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}

# Results of these may be larger than their inputs: only for shapes and the like.
_SMALL = {"Add", "Concat", "Div", "Floor", "Gather", "Mul", "Neg", "Slice", "Sub"}
_SMALL_SIZE = 4096


def fold(node: Any, inputs: list[Array | None], opset: int) -> Array | None:
    """Return what a node with constant inputs computes; None if that is not known here.

    Parameters
    ----------
    node : NodeProto
    inputs : list of arrays
        None where an optional input is left out.

    Raises
    ------
    Unsupported
        If its inputs or attributes are not those of its operator.
    """
    small = all(array is None or array.size <= _SMALL_SIZE for array in inputs)
    if node.op_type not in _SAME_SIZE and not (node.op_type in _SMALL and small):
        return None
    # Slow to import, and rarely needed.
    from onnx.reference import ReferenceEvaluator

    feeds = {name: array for name, array in zip(node.input, inputs) if array is not None}
    graph = helper.make_graph(
        [node],
        "constant",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(node.output[0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])
    except Exception:  # whatever an operator's implementation raises
        raise Unsupported("its constants cannot be computed: they do not fit each other") from None
