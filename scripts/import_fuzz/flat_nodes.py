"""The end of random float graphs: global averages, flattening, matrices and Softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scripts.import_fuzz.draft import Draft, Map

__all__ = ["flat_step", "flattened", "flatten", "softmax"]


def _global(draft: Draft, source: Map) -> Map:
    channels = source.shape[0]
    if draft.chance(0.5):
        return Map(draft.node("GlobalAveragePool", source.name), (channels, 1, 1))
    axes = draft.pick([2, 3], [3, 2], [-1, -2], [-2, -1], [2, -1])
    if draft.chance(0.02):
        axes = draft.pick([2], [1, 2, 3], [1])
    if draft.opset < 11:
        axes = [axis % 4 for axis in axes]
    keep = draft.pick(0, 1, None)
    if draft.opset < 18:
        made = draft.node("ReduceMean", source.name, axes=axes, keepdims=keep)
    else:
        names = [source.name, draft.constant(np.array(axes, np.int64))]
        made = draft.node("ReduceMean", *names, keepdims=keep)
    shape = [*source.shape]
    for axis in axes:
        shape[axis % 4 - 1] = 1 if keep != 0 else 0
    return Map(made, tuple(size for size in shape if size))


def flatten(draft: Draft, name: str, shape: tuple[int, ...]) -> str:
    """Return a vector of a map, in one of the many ways of writing that."""
    count = int(np.prod(shape))
    way = draft.pick("Flatten", "Flatten", "Reshape", "Reshape", "Shape")
    if way == "Flatten":
        axis = draft.pick(1, 1, None)
        if draft.opset >= 11 and draft.chance(0.2):
            axis = -len(shape)
        return draft.node("Flatten", name, axis=axis)
    if way == "Reshape":
        target = draft.pick([1, -1], [0, -1], [1, count], [0, count], [-1, count])
        extra: dict[str, Any] = {"allowzero": 0} if draft.opset >= 14 and draft.chance(0.1) else {}
        return draft.node("Reshape", name, draft.constant(np.array(target, np.int64)), **extra)
    return draft.node("Reshape", name, _computed(draft, name))


def _computed(draft: Draft, name: str) -> str:
    """The target of a Reshape, computed from the map's shape."""
    shape = draft.node("Shape", name)
    if draft.opset >= 10 and draft.chance(0.4):
        bounds = [draft.constant(np.array([edge], np.int64)) for edge in (0, 1)]
        batch = draft.node("Slice", shape, *bounds)
    else:
        index = draft.pick(np.int64(0), np.array([0], np.int64))
        batch = draft.node("Gather", shape, draft.constant(index), axis=draft.pick(0, None))
        if index.ndim == 0 and draft.opset >= 13:
            batch = draft.node("Unsqueeze", batch, draft.constant(np.array([0], np.int64)))
        elif index.ndim == 0:
            batch = draft.node("Unsqueeze", batch, axes=[0])
    return draft.node("Concat", batch, draft.constant(np.array([-1], np.int64)), axis=0)


def flattened(draft: Draft, source: Map) -> Map:
    """Return a vector, or a map of one position."""
    if draft.chance(0.5):
        source = _global(draft, source)
    if len(source.shape) == 1:
        return source
    count = int(np.prod(source.shape))
    if source.shape[1:] == (1, 1) and draft.chance(0.3):
        axes = draft.pick([2, 3], [3, 2])
        if draft.opset >= 11 and draft.chance(0.3):
            axes = [-1, -2]
        if draft.opset < 13:
            return Map(draft.node("Squeeze", source.name, axes=axes), source.shape[:1])
        names = [source.name, draft.constant(np.array(axes, np.int64))]
        return Map(draft.node("Squeeze", *names), source.shape[:1])
    if draft.chance(0.05):
        target = draft.constant(np.array(draft.pick([1, -1, 1, 1], [0, -1, 1, 1]), np.int64))
        return Map(draft.node("Reshape", source.name, target), (count, 1, 1))
    return Map(flatten(draft, source.name, source.shape), (count,))


def flat_step(draft: Draft, source: Map, relu: Callable[[Draft, Map], Map]) -> Map:
    """Return what a matrix, or a node that follows one, makes of a vector."""
    if len(source.shape) > 1:
        # A map that was only reshaped to one position: what reads it there is the importer's case.
        step = draft.pick("GlobalAveragePool", "Flatten", "LRN")
        extra: dict[str, Any] = {"size": 3} if step == "LRN" else {}
        shape = (int(np.prod(source.shape)),) if step == "Flatten" else source.shape
        return Map(draft.node(step, source.name, **extra), shape)
    out = draft.whole(1, 8)
    made = (_gemm if draft.chance(0.6) else _matmul)(draft, source, out)
    if draft.chance(0.1) and draft.opset >= 9:
        values = [draft.vector(out, 0.5, 1.5) for _ in range(4)]
        names = [draft.constant(value) for value in values]
        made = Map(draft.node("BatchNormalization", made.name, *names), made.shape)
    if draft.chance(0.4):
        made = relu(draft, made)
    if draft.chance(0.06):
        axis = -1 if draft.opset >= 11 and draft.chance(0.5) else 1
        return Map(draft.node("Concat", made.name, made.name, axis=axis), (2 * out,))
    if draft.chance(0.06):
        weight = draft.constant(draft.weights(out, source.shape[0]).T.copy())
        other = draft.node("MatMul", source.name, weight)
        return Map(draft.node(draft.pick("Add", "Sum"), made.name, other), (out,))
    return made


def _gemm(draft: Draft, source: Map, out: int) -> Map:
    weight = draft.weights(out, source.shape[0])
    attributes: dict[str, Any] = {}
    if draft.chance(0.6):
        attributes["transB"] = 1
    else:
        weight = weight.T.copy()
    for name in ("alpha", "beta"):
        if draft.chance(0.2):
            attributes[name] = draft.pick(1.0, 0.5, 2.0, -1.0)
    if draft.chance(0.02):
        attributes["transA"] = draft.pick(0, 1)
    inputs = [source.name, draft.constant(weight)]
    if draft.opset < 11 or draft.chance(0.8):
        shape = draft.pick((out,), (out,), (1, out), (1,), (1, 1), ())
        inputs.append(draft.constant(draft.rng.uniform(-0.5, 0.5, shape).astype(np.float32)))
    return Map(draft.node("Gemm", *inputs, **attributes), (out,))


def _matmul(draft: Draft, source: Map, out: int) -> Map:
    weight = draft.weights(out, source.shape[0])
    if draft.chance(0.3):
        matrix = draft.node("Transpose", draft.constant(weight), perm=draft.pick([1, 0], None))
    else:
        matrix = draft.constant(weight.T.copy())
    made = draft.node("MatMul", source.name, matrix)
    if draft.chance(0.6):
        shape = draft.pick((out,), (1, out), (), (1,))
        bias = draft.constant(draft.rng.uniform(-0.5, 0.5, shape).astype(np.float32))
        names = [made, bias]
        draft.dice.shuffle(names)
        made = draft.node("Add", *names)
    return Map(made, (out,))


def softmax(draft: Draft, source: Map) -> Map:
    """Return probabilities, over the channels or over something else."""
    kind = draft.pick("Softmax", "Softmax", "LogSoftmax")
    axis = draft.pick(1, 1, 1, None, -1) if draft.chance(0.9) else draft.pick(0, 2, 3)
    if axis is not None and ((axis < 0 and draft.opset < 11) or axis > len(source.shape)):
        axis = 1
    made = draft.node(kind, source.name, axis=axis)
    if draft.chance(0.1):
        made = draft.node("Identity", made)
    return Map(made, source.shape)
