"""Random quantised graphs in QOperator form: integer operators, those of com.microsoft too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from scripts.import_fuzz.draft import Case
from scripts.import_fuzz.encodings import (
    Codes,
    Encoded,
    codes_for,
    integer_weights,
    scale_name,
    zero_name,
)
from scripts.import_fuzz.flat_nodes import flatten
from scripts.import_fuzz.qdq_graphs import QdqDraft, encoded_input
from scripts.import_fuzz.windows import conv_window, pool_window

__all__ = ["operator_case"]

_MS = "com.microsoft"


def _stated(draft: QdqDraft, codes: Codes) -> list[str]:
    """Scale and zero point as inputs."""
    return [scale_name(draft, codes), zero_name(draft, codes)]


def _operands(draft: QdqDraft, shape: tuple[int, ...], axis: int) -> tuple[list[str], Any]:
    """Weights, their scale and zero point as inputs; and the scale."""
    signed = True if draft.signed else draft.chance(0.7)
    made = integer_weights(draft, shape, axis, signed=signed, zeros=False)
    arrays = (made.values, made.scale, made.zeros)
    return [draft.constant(array, plain=True) for array in arrays], made.scale


def _bias(draft: QdqDraft, count: int, unit: Any, size: float) -> str:
    values = draft.rng.normal(0, 0.4 * size, count)
    return draft.constant(np.rint(values / unit).astype(np.int32), plain=True)


def _out(draft: QdqDraft, size: float) -> tuple[Codes, bool]:
    positive = draft.chance(0.5)
    return codes_for(draft, size, positive=positive, signed=draft.signed), positive


def _conv(draft: QdqDraft, source: Encoded, *, out: int = 0, same: bool = False) -> Encoded | None:
    if same:
        kernel = draft.pick(1, 3)
        found: Any = ({"pads": [kernel // 2] * 4}, source.shape[1:])
        window = (kernel, kernel)
    else:
        found = conv_window(draft, source.shape[1:])  # type: ignore[arg-type]
        if found is None:
            return None
        window = tuple(found[0]["kernel_shape"])
    attributes, size = found
    channels, groups = source.shape[0], 1
    if not out and draft.chance(0.2):
        groups = draft.pick(*(n for n in range(1, channels + 1) if channels % n == 0))
        attributes["group"] = groups
    out = out or groups * draft.whole(1, max(8 // groups, 1))
    weights, scale = _operands(draft, (out, channels // groups, *window), 0)
    codes, positive = _out(draft, source.size)
    inputs = [source.name, *_stated(draft, source.codes), *weights, *_stated(draft, codes)]
    if draft.chance(0.7):
        unit = np.float32(source.codes.scale) * scale
        inputs.append(_bias(draft, out, unit, source.size))
    name = draft.node("QLinearConv", *inputs, **attributes)
    return Encoded(name, (out, *size), codes, source.size, positive)


def _max_pool(draft: QdqDraft, source: Encoded) -> Encoded | None:
    found = pool_window(draft, source.shape[1:], square=True)  # type: ignore[arg-type]
    if found is None or draft.opset < 12:
        return None
    shape = (source.shape[0], *found[1])
    return replace(source, name=draft.node("MaxPool", source.name, **found[0]), shape=shape)


def _average(draft: QdqDraft, source: Encoded) -> Encoded | None:
    codes = codes_for(draft, source.size, positive=source.positive, signed=draft.signed)
    inputs = [source.name, *_stated(draft, source.codes), *_stated(draft, codes)]
    if draft.chance(0.3):
        name = draft.node("QLinearGlobalAveragePool", *inputs, domain=_MS, channels_last=0)
        shape: tuple[int, ...] = (source.shape[0], 1, 1)
    else:
        found = pool_window(draft, source.shape[1:], square=draft.chance(0.5))  # type: ignore[arg-type]
        if found is None or "dilations" in found[0]:
            return None
        if draft.chance(0.3) and not found[0].get("ceil_mode"):
            found[0]["count_include_pad"] = 1
        name = draft.node("QLinearAveragePool", *inputs, domain=_MS, **found[0])
        shape = (source.shape[0], *found[1])
    return Encoded(name, shape, codes, source.size, source.positive)


def _add(draft: QdqDraft, source: Encoded) -> Encoded | None:
    first = _conv(draft, source, out=source.shape[0], same=True)
    second = source if draft.chance(0.5) else _conv(draft, source, out=source.shape[0], same=True)
    if first is None or second is None:
        return None
    codes, positive = _out(draft, 1.4 * source.size)
    inputs = []
    for part in (first, second):
        inputs += [part.name, *_stated(draft, part.codes)]
    name = draft.node("QLinearAdd", *inputs, *_stated(draft, codes), domain=_MS)
    return Encoded(name, source.shape, codes, 1.4 * source.size, positive)


def _concat(draft: QdqDraft, source: Encoded) -> Encoded:
    parts = [source]
    for _ in range(draft.whole(1, 2)):
        made = _conv(draft, source, out=draft.whole(1, 4), same=True)
        parts += [] if made is None else [made]
    positive = all(part.positive for part in parts)
    codes = codes_for(draft, source.size, positive=positive, signed=draft.signed)
    inputs = _stated(draft, codes)
    for part in parts:
        inputs += [part.name, *_stated(draft, part.codes)]
    name = draft.node("QLinearConcat", *inputs, domain=_MS, axis=1)
    shape = (sum(part.shape[0] for part in parts), *source.shape[1:])
    return Encoded(name, shape, codes, source.size, positive)


_STEPS = [(_conv, 8), (_max_pool, 3), (_average, 4), (_add, 3), (_concat, 3)]


def _vector(draft: QdqDraft, source: Encoded) -> Encoded:
    count = int(np.prod(source.shape))
    if draft.opset < 14:
        # onnxruntime's Flatten of integers is there at all opsets, its Reshape as well.
        name = draft.node("Flatten", source.name)
    else:
        name = flatten(draft, source.name, source.shape)
    return replace(source, name=name, shape=(count,))


def _matrix(draft: QdqDraft, source: Encoded, *, last: bool) -> tuple[str, Encoded]:
    """A fully connected layer: its name, and what it is if it makes codes."""
    out = draft.whole(1, 8)
    codes, positive = _out(draft, source.size)
    inputs = [source.name, *_stated(draft, source.codes)]
    if draft.chance(0.5):
        weights, _ = _operands(draft, (source.shape[0], out), 1)
        name = draft.node("QLinearMatMul", *inputs, *weights, *_stated(draft, codes))
        return name, Encoded(name, (out,), codes, source.size, positive)
    turned = draft.chance(0.5)
    shape, axis = ((out, source.shape[0]), 0) if turned else ((source.shape[0], out), 1)
    weights, scale = _operands(draft, shape, axis)
    inputs += weights
    unit = np.float32(source.codes.scale) * scale
    inputs.append(_bias(draft, out, unit, source.size) if draft.chance(0.7) else "")
    floats = last and draft.chance(0.5)
    if not floats:
        inputs += _stated(draft, codes)
    name = draft.node("QGemm", *inputs, domain=_MS, transB=1 if turned else 0, alpha=1.0)
    if floats:
        return name, replace(source, name="")
    return name, Encoded(name, (out,), codes, source.size, positive)


def _integers(draft: QdqDraft, source: Encoded) -> tuple[str, int]:
    """MatMulInteger, then bias and scale or only some of them."""
    out = draft.whole(1, 8)
    values = np.clip(np.rint(draft.rng.normal(0, 45, (source.shape[0], out))), -127, 127)
    name = draft.node("MatMulInteger", source.name, draft.constant(values.astype(np.int8)))
    kind = TensorProto.INT32
    if draft.chance(0.7):
        bias = draft.rng.integers(-5000, 5000, out).astype(np.int32)
        name = draft.node("Add", name, draft.constant(bias, plain=True))
    if draft.chance(0.8):
        name, kind = draft.node("Cast", name, to=1), TensorProto.FLOAT
        if draft.chance(0.8):
            steps = draft.vector(out if draft.chance(0.5) else 1, 0.01, 0.02)
            name = draft.node("Mul", name, draft.constant(steps))
            if draft.chance(0.3):
                name = draft.node("Softmax", name, axis=1)
    return name, kind


def operator_case(seed: int) -> Case:
    """Return the QOperator graph of a seed."""
    draft = QdqDraft(seed)
    channels = draft.pick(1, 2, 3, 3, 3, 4, 5, 8)
    size = (draft.whole(2, 12), draft.whole(2, 12))
    first, kind = encoded_input(draft, channels, size)
    current = first
    kinds, often = zip(*_STEPS)
    for index in range(draft.whole(1, 3)):
        step = _conv if index == 0 and draft.chance(0.7) else draft.dice.choices(kinds, often)[0]
        made = step(draft, current)
        current = current if made is None else made
    if current.name == first.name:
        current = _conv(draft, current, out=3, same=True) or current
    output, made_type = _end(draft, current)
    return Case(
        model=draft.model(channels, size, output, input_type=kind, output_type=made_type),
        mean=(127.5,) * channels,
        std=(64.0,) * channels,
        external=draft.chance(0.02),
        seed=seed,
    )


def _end(draft: QdqDraft, current: Encoded) -> tuple[str, int]:
    if draft.chance(0.5):
        current = _vector(draft, current)
        if draft.chance(0.4):
            _, current = _matrix(draft, current, last=False)
        if draft.chance(0.3):
            return _integers(draft, current)
        if draft.chance(0.7):
            name, current = _matrix(draft, current, last=True)
            if not current.name:
                return name, TensorProto.FLOAT
    if draft.chance(0.5):
        return draft.floats(current), TensorProto.FLOAT
    return current.name, TensorProto.INT8 if current.codes.signed else TensorProto.UINT8
