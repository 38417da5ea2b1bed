"""The outside judge of an ONNX file: onnxruntime, or onnx's reference evaluator without it.

Any tensor can be asked for, not just the outputs.  The graph is run as it is written: fusing nodes
would hide tensors, and change the rounding of some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from penstock.models.onnx_io.read import Graph

__all__ = ["Judge", "JudgeError"]

Array = NDArray[Any]


class JudgeError(Exception):
    """The judge cannot run the file."""


def _with_outputs(graph: Graph, tensors: Sequence[str]) -> Any:
    """The nodes that the output needs, with `tensors` as outputs behind the file's own."""
    model = onnx.load(graph.path)
    needed = {name for node in graph.nodes for name in node.output}
    kept = [
        node for node in model.graph.node if node.op_type == "Constant" or node.output[0] in needed
    ]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    own = {output.name for output in model.graph.output}
    for name in tensors:
        if name not in own:
            model.graph.output.append(helper.make_empty_tensor_value_info(name))
    return model


class Judge:
    """Runs an ONNX file.

    Parameters
    ----------
    graph : Graph
        As it was read from the file.
    tensors : sequence of str
        What to return beside the file's own outputs.

    Members
    -------
    name : str
        Package and version.

    Raises
    ------
    JudgeError
        If the judge cannot load the file; the message is the judge's own, in one line.
    """

    def __init__(self, graph: Graph, tensors: Sequence[str] = ()) -> None:
        model = _with_outputs(graph, tensors)
        self._names = [output.name for output in model.graph.output]
        try:
            import onnxruntime
        except ModuleNotFoundError:
            from onnx.reference import ReferenceEvaluator

            self.name = f"onnx {onnx.__version__}"
            try:
                self._run = ReferenceEvaluator(model).run
            except Exception as error:  # whatever an operator's implementation raises
                raise JudgeError(_line(error)) from None
            return
        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Without it, processors without VNNI add pairs of products in 16 bits, saturating.
        options.add_session_config_entry("session.x64quantprecision", "1")
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions have no common public base
            raise JudgeError(_line(error)) from None
        self._run = session.run

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Return the tensors asked for and the file's outputs, by name.

        Raises
        ------
        JudgeError
            If the judge fails.
        """
        try:
            values = self._run(self._names, feeds)
        except Exception as error:  # as above
            raise JudgeError(_line(error)) from None
        return {name: np.asarray(value) for name, value in zip(self._names, values)}


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
