"""Random quantised graphs in QDQ form: float nodes between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from scripts.import_fuzz.draft import Case, Draft
from scripts.import_fuzz.encodings import (
    Codes,
    Encoded,
    codes_for,
    integer_weights,
    scale_name,
    zero_name,
)
from scripts.import_fuzz.flat_nodes import flatten
from scripts.import_fuzz.float_graphs import OPSETS
from scripts.import_fuzz.windows import conv_window, pool_window

__all__ = ["QdqDraft", "encoded_input", "qdq_case"]


class QdqDraft(Draft):
    """A graph of codes.

    Members
    -------
    signed : bool
        Whether its maps are int8.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, range(10, OPSETS.stop))
        self.signed = self.chance(0.35)
        self._floats: dict[tuple[str, Codes], str] = {}

    def quantize(self, source: str, codes: Codes) -> str:
        """Add QuantizeLinear and return its codes."""
        inputs = [source, scale_name(self, codes)]
        extra: dict[str, Any] = {}
        if self.opset >= 21 and self.chance(0.3):
            extra["output_dtype"] = TensorProto.INT8 if codes.signed else TensorProto.UINT8
        absent = codes.zero == 0 and (not codes.signed or "output_dtype" in extra)
        if not (absent and self.chance(0.6)):
            inputs.append(zero_name(self, codes))
        if self.opset >= 13 and self.chance(0.1):
            extra["axis"] = 1
        if self.opset >= 19 and self.chance(0.1):
            extra["saturate"] = 1
        if self.opset >= 21 and self.chance(0.05):
            extra["block_size"] = 0
        if self.opset >= 23 and self.chance(0.1):
            extra["precision"] = 1
        return self.node("QuantizeLinear", *inputs, **extra)

    def floats(self, source: Encoded) -> str:
        """Return what the codes stand for: of a node of its own, or one that is there already."""
        key = (source.name, source.codes)
        if key in self._floats and self.chance(0.5):
            return self._floats[key]
        inputs = [source.name, scale_name(self, source.codes)]
        extra: dict[str, Any] = {}
        if source.codes.zero or self.chance(0.6):
            inputs.append(zero_name(self, source.codes))
        if self.opset >= 23 and self.chance(0.2):
            extra["output_dtype"] = TensorProto.FLOAT
        if self.opset >= 21 and self.chance(0.05):
            extra["block_size"] = 0
        self._floats[key] = self.node("DequantizeLinear", *inputs, **extra)
        return self._floats[key]

    def weights_behind(self, shape: tuple[int, ...], axis: int) -> tuple[str, Any]:
        """Return weights behind DequantizeLinear, and their scales."""
        if self.chance(0.03) and len(shape) == 4:
            axis = 1  # scales that no integer arithmetic has: by input
        made = integer_weights(
            self, shape, axis, signed=self.chance(0.75), columns=self.opset >= 13
        )
        several = made.scale.size > 1
        names = [self.constant(made.values, plain=True), self.constant(made.scale, plain=True)]
        if made.zeros is not None:
            names.append(self.constant(made.zeros, plain=True))
        along = axis - len(shape) if self.chance(0.2) else axis
        plain = not several or (along == 1 and self.chance(0.5))
        extra: dict[str, Any] = (
            {} if self.opset < 13 or (plain and self.chance(0.7)) else {"axis": along}
        )
        scale = made.scale if axis != 1 or len(shape) == 2 else made.scale.reshape(-1)[:1].copy()
        return self.node("DequantizeLinear", *names, **extra), scale

    def bias(self, count: int, unit: Any, size: float) -> list[str]:
        """Return a bias: none, of floats, or of integers behind DequantizeLinear."""
        way = self.pick("", "float", "integer", "integer")
        if way == "integer" and unit.size > 1 and self.opset < 13:
            way = "float"
        values = self.rng.normal(0, 0.4 * size, count)
        if way == "float" and self.chance(0.05):
            values[0] = self.pick(np.inf, -np.inf, 1e30)
        if not way:
            return []
        if way == "float":
            return [self.constant(values.astype(np.float32))]
        unit = unit.astype(np.float32)
        integers = self.constant(np.rint(values / unit).astype(np.int32), plain=True)
        names = [integers, self.constant(unit, plain=True)]
        if self.chance(0.3):
            names.append(self.constant(np.zeros(unit.shape, np.int32), plain=True))
        extra: dict[str, Any] = {"axis": 0} if unit.ndim and self.opset >= 13 else {}
        return [self.node("DequantizeLinear", *names, **extra)]

    def finish(
        self, name: str, shape: tuple[int, ...], size: float, *, positive: bool = False
    ) -> Encoded:
        """Quantise what a float node makes, after a ReLU now and then."""
        limit = None
        if not positive and self.chance(0.45):
            positive = True
            if self.chance(0.25) and self.opset >= 11:
                limit = np.float32(1.5 * size)
                bounds = [self.constant(np.float32(0)), self.constant(limit)]
                name = self.node("Clip", name, *bounds)
            elif self.chance(0.5):
                name = self.node("Relu", name)
            # Otherwise the codes' lower end is the ReLU.
        codes = codes_for(self, size, positive=positive, signed=self.signed)
        if limit is not None and not self.chance(0.05):
            codes = Codes(float(np.float32(limit / 255)), codes.zero, codes.signed)
        made = Encoded(self.quantize(name, codes), shape, codes, size, positive)
        if self.chance(0.08):
            return self.twice(name, made)
        return made

    def twice(self, name: str, made: Encoded) -> Encoded:
        """Quantise a float map a second time, differently, and join what becomes of both."""
        other = codes_for(self, made.size, positive=made.positive, signed=self.signed)
        again = replace(made, name=self.quantize(name, other), codes=other)
        if len(made.shape) == 3 and self.chance(0.5):
            again = _conv(self, again, out=made.shape[0], same=True) or again
        total = self.node("Add", self.floats(made), self.floats(again))
        size = 1.4 * made.size
        codes = codes_for(self, size, positive=False, signed=self.signed)
        return Encoded(self.quantize(total, codes), made.shape, codes, size)


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
    channels = source.shape[0]
    groups = 1
    if not out and draft.chance(0.2):
        groups = draft.pick(*(n for n in range(1, channels + 1) if channels % n == 0))
        attributes["group"] = groups
    out = out or groups * draft.whole(1, max(8 // groups, 1))
    weight, scale = draft.weights_behind((out, channels // groups, *window), 0)
    inputs = [draft.floats(source), weight]
    inputs += draft.bias(out, np.float32(source.codes.scale) * scale, source.size)
    name = draft.node("Conv", *inputs, **attributes)
    if draft.chance(0.05):
        values = draft.vector(out).reshape(1, out, 1, 1)
        name = draft.node("Add", name, draft.constant(values))
    return draft.finish(name, (out, *size), source.size)


def _max_pool(draft: QdqDraft, source: Encoded) -> Encoded | None:
    found = pool_window(draft, source.shape[1:], square=True)  # type: ignore[arg-type]
    if found is None:
        return None
    shape = (source.shape[0], *found[1])
    if draft.opset >= 12 and draft.chance(0.5):
        return replace(source, name=draft.node("MaxPool", source.name, **found[0]), shape=shape)
    name = draft.node("MaxPool", draft.floats(source), **found[0])
    codes = source.codes if draft.chance(0.8) else codes_for(
        draft, source.size, positive=source.positive, signed=draft.signed
    )  # fmt: skip
    return replace(source, name=draft.quantize(name, codes), shape=shape, codes=codes)


def _average(draft: QdqDraft, source: Encoded) -> Encoded | None:
    found = pool_window(draft, source.shape[1:], square=draft.chance(0.5))  # type: ignore[arg-type]
    if found is None:
        return None
    if draft.chance(0.3) and not found[0].get("ceil_mode"):
        found[0]["count_include_pad"] = 1
    name = draft.node("AveragePool", draft.floats(source), **found[0])
    codes = codes_for(draft, source.size, positive=source.positive, signed=draft.signed)
    shape = (source.shape[0], *found[1])
    return Encoded(draft.quantize(name, codes), shape, codes, source.size, source.positive)


def _global(draft: QdqDraft, source: Encoded) -> Encoded:
    name = draft.node("GlobalAveragePool", draft.floats(source))
    codes = codes_for(draft, source.size, positive=source.positive, signed=draft.signed)
    shape = (source.shape[0], 1, 1)
    return Encoded(draft.quantize(name, codes), shape, codes, source.size, source.positive)


def _add(draft: QdqDraft, source: Encoded) -> Encoded | None:
    first = _conv(draft, source, out=source.shape[0], same=True)
    if first is None:
        return None
    second: Encoded | None = source
    if draft.chance(0.4):
        second = _conv(draft, source, out=source.shape[0], same=True)
    names = [draft.floats(first), draft.floats(second or source)]
    draft.dice.shuffle(names)
    return draft.finish(draft.node("Add", *names), source.shape, 1.4 * source.size)


def _concat(draft: QdqDraft, source: Encoded) -> Encoded | None:
    parts = [source]
    for _ in range(draft.whole(1, 2)):
        made = _conv(draft, source, out=draft.whole(1, 4), same=True)
        parts += [] if made is None else [made]
    names = [draft.floats(part) for part in parts]
    name = draft.node("Concat", *names, axis=1)
    positive = all(part.positive for part in parts)
    codes = codes_for(draft, source.size, positive=positive, signed=draft.signed)
    shape = (sum(part.shape[0] for part in parts), *source.shape[1:])
    return Encoded(draft.quantize(name, codes), shape, codes, source.size, positive)


def _lrn(draft: QdqDraft, source: Encoded) -> Encoded | None:
    if source.codes.zero != (-128 if source.codes.signed else 0):
        return None
    name = draft.node("LRN", draft.floats(source), size=5, alpha=0.01, beta=0.75, bias=1.0)
    codes = codes_for(draft, source.size, positive=True, signed=draft.signed)
    return Encoded(draft.quantize(name, codes), source.shape, codes, source.size, True)


def _pad(draft: QdqDraft, source: Encoded) -> Encoded | None:
    if draft.opset < 11:
        return None
    sizes = [draft.whole(0, 2) for _ in range(4)]
    pads = draft.constant(np.array([0, 0, *sizes[:2], 0, 0, *sizes[2:]], np.int64))
    shape = (
        source.shape[0],
        source.shape[1] + sizes[0] + sizes[2],
        source.shape[2] + sizes[1] + sizes[3],
    )
    if draft.chance(0.25) and draft.opset >= 13:
        # Codes: the fill is the zero point, or nothing, which is code 0.
        inputs = [source.name, pads]
        if source.codes.zero or draft.chance(0.5):
            inputs.append(zero_name(draft, replace(source.codes)))
        padded = replace(source, name=draft.node("Pad", *inputs), shape=shape)
        return (_conv if draft.chance(0.7) else _max_pool)(draft, padded)
    name = draft.node("Pad", draft.floats(source), pads)
    channels, out = source.shape[0], draft.whole(1, 5)
    if draft.chance(0.5):
        name = draft.quantize(name, source.codes)
        return _conv(draft, replace(source, name=name, shape=shape))
    kernel = draft.whole(1, min(3, *shape[1:]))
    weight, scale = draft.weights_behind((out, channels, kernel, kernel), 0)
    bias = draft.bias(out, np.float32(source.codes.scale) * scale, source.size)
    made = draft.node("Conv", name, weight, *bias)
    size = (shape[1] - kernel + 1, shape[2] - kernel + 1)
    return draft.finish(made, (out, *size), source.size)


def _requantise(draft: QdqDraft, source: Encoded) -> Encoded:
    codes = codes_for(draft, source.size, positive=source.positive, signed=draft.signed)
    return replace(source, name=draft.quantize(draft.floats(source), codes), codes=codes)


def flat(draft: QdqDraft, source: Encoded) -> Encoded:
    """Return the codes as a vector."""
    count = int(np.prod(source.shape))
    if draft.chance(0.5) and draft.opset >= 14:
        return replace(source, name=flatten(draft, source.name, source.shape), shape=(count,))
    name = flatten(draft, draft.floats(source), source.shape)
    return replace(source, name=draft.quantize(name, source.codes), shape=(count,))


def _matrix(draft: QdqDraft, source: Encoded, out: int) -> str:
    """Return the floats that a matrix makes of a vector."""
    gemm = draft.chance(0.5)
    turned = gemm and draft.chance(0.6)
    shape, axis = ((out, source.shape[0]), 0) if turned else ((source.shape[0], out), 1)
    weight, scale = draft.weights_behind(shape, axis)
    inputs = [draft.floats(source), weight]
    bias = draft.bias(out, np.float32(source.codes.scale) * scale, source.size)
    if gemm:
        bias = bias or ([] if draft.opset >= 11 else [draft.constant(np.zeros(out, np.float32))])
        return draft.node("Gemm", *inputs, *bias, transB=1 if turned else None)
    name = draft.node("MatMul", *inputs)
    if bias:
        names = [name, *bias]
        draft.dice.shuffle(names)
        name = draft.node("Add", *names)
    return name


_STEPS = [
    (_conv, 10), (_max_pool, 4), (_average, 3), (_add, 4), (_concat, 4), (_lrn, 2), (_pad, 3),
    (_requantise, 1), (_global, 1),
]  # fmt: skip


def encoded_input(draft: QdqDraft, channels: int, size: tuple[int, int]) -> tuple[Encoded, int]:
    """Return the first codes, and the type of the graph's input."""
    shape = (channels, *size)
    if draft.chance(0.25):
        # Pixels as they are; int8 ones are 128 less.
        zero = draft.whole(-10, 10) if draft.signed else draft.whole(100, 140)
        zero = (-128 if draft.signed else 0) if draft.chance(0.4) else zero
        zero = 0 if draft.signed and draft.chance(0.3) else zero
        codes = Codes(float(np.float32(1 / 64)), zero, draft.signed)
        kind = TensorProto.INT8 if draft.signed else TensorProto.UINT8
        return Encoded("data", shape, codes), kind
    codes = codes_for(draft, 1.0, positive=False, signed=draft.signed)
    codes = Codes(float(np.float32(codes.scale * 0.7)), codes.zero, codes.signed)
    made = draft.quantize("data", codes)
    if draft.chance(0.03):
        # A reader with a zero point of its own: a shift of the values.
        codes = replace(codes, zero=codes.zero + draft.whole(-9, 9) * (codes.zero != -128))
        codes = replace(codes, zero=max(codes.zero, -128 if codes.signed else 0))
    return Encoded(made, shape, codes), TensorProto.FLOAT


def qdq_case(seed: int) -> Case:
    """Return the QDQ graph of a seed."""
    draft = QdqDraft(seed)
    channels = draft.pick(1, 2, 3, 3, 3, 4, 5, 8)
    size = (draft.whole(2, 12), draft.whole(2, 12))
    first, kind = encoded_input(draft, channels, size)
    current = first
    kinds, often = zip(*_STEPS)
    for _ in range(draft.whole(1, 3)):
        made = draft.dice.choices(kinds, often)[0](draft, current)
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
    """The output and its type: codes, floats, logits or probabilities."""
    codes = TensorProto.INT8 if current.codes.signed else TensorProto.UINT8
    if draft.chance(0.5):
        if len(current.shape) == 3 and draft.chance(0.5):
            current = _global(draft, current)
        vector = flat(draft, current)
        if draft.chance(0.3):
            out = draft.whole(1, 6)
            name = _matrix(draft, vector, out)
            vector = draft.finish(name, (out,), vector.size)
        if draft.chance(0.5):
            name = _matrix(draft, vector, draft.whole(1, 8))
            if draft.chance(0.2):
                name = draft.node("Softmax", name, axis=draft.pick(1, None))
            return name, TensorProto.FLOAT
        current = vector
        codes = TensorProto.INT8 if current.codes.signed else TensorProto.UINT8
    if draft.chance(0.7):
        return draft.floats(current), TensorProto.FLOAT
    return current.name, codes
