"""A graph that fails made smaller, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import numpy_helper

from scripts.import_fuzz.draft import Case
from scripts.import_fuzz.verdict import Verdict

__all__ = ["shrunk"]


def _copy(model: Any) -> Any:
    made = type(model)()
    made.CopyFrom(model)
    return made


def _tidied(model: Any) -> Any:
    """The graph without what its output does not need."""
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    kept.reverse()
    constants = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    inputs = [v for i, v in enumerate(model.graph.input) if i == 0 or v.name in needed]
    made = _copy(model)
    for place, items in (("node", kept), ("initializer", constants), ("input", inputs)):
        field = getattr(made.graph, place)
        del field[:]
        field.extend(items)
    return made


def _shorter(model: Any) -> Iterator[Any]:
    """The graph up to an earlier node."""
    for node in list(model.graph.node)[:-1]:
        if node.op_type == "Constant":
            continue
        made = _copy(model)
        made.graph.output[0].name = node.output[0]
        made.graph.output[0].type.Clear()
        yield _tidied(made)


def _without_nodes(model: Any) -> Iterator[Any]:
    """The graph with one node fewer: what read it reads one of its inputs."""
    for index, node in enumerate(model.graph.node):
        for source in list(node.input)[:4]:
            if not source or node.op_type == "Constant":
                continue
            made = _copy(model)
            del made.graph.node[index]
            for other in made.graph.node:
                for place, name in enumerate(other.input):
                    if name == node.output[0]:
                        other.input[place] = source
            if made.graph.output[0].name == node.output[0]:
                made.graph.output[0].name = source
            yield _tidied(made)


def _without_attributes(model: Any) -> Iterator[Any]:
    for index, node in enumerate(model.graph.node):
        for place in range(len(node.attribute)):
            made = _copy(model)
            del made.graph.node[index].attribute[place]
            yield made
        if node.input and (len(node.input) > 2 or node.op_type in ("Clip", "Pad", "Dropout")):
            made = _copy(model)
            del made.graph.node[index].input[-1]
            yield _tidied(made)


def _smaller(model: Any) -> Iterator[Any]:
    """The graph for a smaller input."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for axis in (2, 3):
        for size in {dims[axis].dim_value // 2, dims[axis].dim_value - 1}:
            if size >= 1:
                made = _copy(model)
                made.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
                yield made


def _plain_weights(model: Any) -> Iterator[Any]:
    """The graph with rounder numbers, which are easier to read."""
    for index, tensor in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < 2:
            continue
        for values in (np.ones_like(array), np.round(array, 1)):
            if not np.array_equal(values, array):
                made = _copy(model)
                made.graph.initializer[index].CopyFrom(numpy_helper.from_array(values, tensor.name))
                yield made


def _key(verdict: Verdict) -> tuple[str, str]:
    """What stays the same of a failure: its kind, and the exception or the node's operator."""
    text = verdict.text.split("computes: ")[-1] if verdict.kind == "mismatch" else verdict.text
    first = (text.replace(":", " ").split() or [""])[0]
    return verdict.kind, first if verdict.kind in ("crash", "mismatch") else ""


_WAYS = (_shorter, _without_nodes, _without_attributes, _smaller, _plain_weights)


def shrunk(
    case: Case, judge: Callable[[Case], Verdict], *, tries: int = 3000
) -> tuple[Case, Verdict]:
    """Return the smallest graph found that fails as `case` does, and how it fails.

    Parameters
    ----------
    case : Case
    judge : callable
        Returns what comes of a graph.
    tries : int
        How many graphs are tried at most.
    """
    found = judge(case)
    same = _key(found)
    best = case.with_model(_tidied(case.model))
    again = True
    while again:
        again = False
        for way in _WAYS:
            for model in way(best.model):
                if tries <= 0:
                    return best, judge(best)
                tries -= 1
                candidate = best.with_model(model)
                if _key(judge(candidate)) == same:
                    best, again = candidate, True
                    break
            if again:
                break
    return best, judge(best)
