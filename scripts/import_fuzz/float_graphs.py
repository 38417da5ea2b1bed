"""Random float graphs: every operator, attribute and idiom that the importer claims to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scripts.import_fuzz.draft import Case, Draft, Map
from scripts.import_fuzz.flat_nodes import flat_step, flattened, softmax
from scripts.import_fuzz.windows import conv_window, pool_window

__all__ = ["OPSETS", "float_case"]

OPSETS = range(7, 25)

Step = Callable[[Draft, Map], "Map | None"]


def _conv(draft: Draft, source: Map, out: int = 0) -> Map | None:
    found = conv_window(draft, source.shape[1:])  # type: ignore[arg-type]
    if found is None:
        return None
    attributes, size = found
    channels = source.shape[0]
    groups = 1
    if draft.chance(0.3):
        divisors = [n for n in range(1, channels + 1) if channels % n == 0]
        groups = draft.pick(*divisors)
        attributes["group"] = groups
    if out and out % groups:
        return None
    out = out or groups * draft.whole(1, max(8 // groups, 1))
    kernel = attributes["kernel_shape"]
    if draft.chance(0.3):
        del attributes["kernel_shape"]
    weight = draft.constant(draft.weights(out, channels // groups, *kernel))
    inputs = [source.name, _detour(draft, weight, (out, channels // groups, *kernel))]
    if draft.chance(0.7):
        inputs.append(draft.constant(draft.vector(out)))
    made = Map(draft.node("Conv", *inputs, **attributes), (out, *size))
    if draft.chance(0.08):
        bias = draft.vector(out).reshape(draft.pick((1, out, 1, 1), (out, 1, 1)))
        inputs = [made.name, draft.constant(bias if draft.chance(0.8) else np.float32(0.3))]
        draft.dice.shuffle(inputs)
        made = Map(draft.node("Add", *inputs), made.shape)
    if draft.chance(0.25):
        made = _norm(draft, made)
    return _relu(draft, made) if draft.chance(0.5) else made


def _detour(draft: Draft, name: str, shape: tuple[int, ...]) -> str:
    """Weights behind nodes of their own, as exporters write them."""
    if not draft.chance(0.06):
        return name
    kind = draft.pick("Identity", "Cast", "Reshape")
    if kind == "Cast":
        return draft.node("Cast", name, to=1)
    if kind == "Reshape":
        return draft.node("Reshape", name, draft.constant(np.array(shape, np.int64)))
    return draft.node("Identity", name)


def _norm(draft: Draft, source: Map) -> Map:
    count = source.shape[0]
    values = [
        draft.vector(count, 0.5, 1.5), draft.vector(count), draft.vector(count),
        draft.vector(count, 0.3, 2.0),
    ]  # fmt: skip
    if draft.chance(0.05):
        values[0][0] = 0
    attributes: dict[str, Any] = {}
    if draft.chance(0.5):
        attributes["epsilon"] = draft.pick(1e-5, 1e-3, 0.1)
    if draft.chance(0.3):
        attributes["momentum"] = 0.9
    names = [draft.constant(value) for value in values]
    return Map(draft.node("BatchNormalization", source.name, *names, **attributes), source.shape)


def _relu(draft: Draft, source: Map) -> Map:
    if not draft.chance(0.15):
        return Map(draft.node("Relu", source.name), source.shape)
    most = 6.0 if draft.chance(0.02) else None
    if draft.opset < 11:
        name = draft.node("Clip", source.name, min=0.0, max=most)
    else:
        inputs = [draft.constant(np.float32(0))]
        if most is not None or draft.chance(0.3):
            inputs.append(draft.constant(np.float32(3.4028235e38 if most is None else most)))
        name = draft.node("Clip", source.name, *inputs)
    return Map(name, source.shape)


def _lrn(draft: Draft, source: Map) -> Map:
    attributes: dict[str, Any] = {"size": draft.pick(1, 3, 5, 5, 5, 7)}
    for key, value in (("alpha", 0.01), ("beta", 0.6), ("bias", 2.0)):
        if draft.chance(0.6):
            attributes[key] = value
    return Map(draft.node("LRN", source.name, **attributes), source.shape)


def _max_pool(draft: Draft, source: Map) -> Map | None:
    found = pool_window(draft, source.shape[1:], square=not draft.chance(0.02))  # type: ignore[arg-type]
    if found is None:
        return None
    if draft.opset >= 8 and draft.chance(0.1):
        found[0]["storage_order"] = 0
    return Map(draft.node("MaxPool", source.name, **found[0]), (source.shape[0], *found[1]))


def _average_pool(draft: Draft, source: Map) -> Map | None:
    found = pool_window(draft, source.shape[1:], square=draft.chance(0.5))  # type: ignore[arg-type]
    if found is None:
        return None
    if (draft.chance(0.4) and not found[0].get("ceil_mode")) or draft.chance(0.05):
        found[0]["count_include_pad"] = draft.pick(0, 1, 1)
    return Map(draft.node("AveragePool", source.name, **found[0]), (source.shape[0], *found[1]))


def _pad(draft: Draft, source: Map) -> Map | None:
    """Padding by a node of its own, and what reads it."""
    sizes = [draft.whole(0, 2) for _ in range(4)]
    reader = draft.pick("conv", "conv", "max", "max", "average", "average")
    if reader == "max" and draft.chance(0.4):
        # Zeros are neutral to a maximum of what is rectified.
        source = Map(draft.node("Relu", _branch(draft, source, 3).name), (3, *source.shape[1:]))
    lowest = reader == "max" and draft.nodes[-1:] != [] and draft.nodes[-1].op_type != "Relu"
    fill = float("-inf") if lowest else draft.pick(0.0, 0.0, -0.0)
    if draft.chance(0.03):
        fill = draft.pick(1.0, -3.0)
    if draft.chance(0.02):
        sizes[draft.whole(0, 3)] = -1
    pads = [0, 0, sizes[0], sizes[1], 0, 0, sizes[2], sizes[3]]
    if draft.opset < 11:
        value = fill if fill or draft.chance(0.5) else None
        name = draft.node("Pad", source.name, pads=pads, value=value)
    else:
        inputs = [source.name, draft.constant(np.array(pads, np.int64))]
        if fill or draft.chance(0.5):
            inputs.append(draft.constant(np.float32(fill)))
        name = draft.node("Pad", *inputs)
    height = source.shape[1] + sizes[0] + sizes[2]
    width = source.shape[2] + sizes[1] + sizes[3]
    if min(height, width) < 1:
        return None
    padded = Map(name, (source.shape[0], height, width))
    return {"conv": _conv, "max": _max_pool, "average": _average_pool}[reader](draft, padded)


def _branch(draft: Draft, source: Map, out: int) -> Map:
    """A convolution that keeps the size of the map."""
    kernel = draft.pick(1, 1, 3)
    inputs = [source.name, draft.constant(draft.weights(out, source.shape[0], kernel, kernel))]
    if draft.chance(0.7):
        inputs.append(draft.constant(draft.vector(out)))
    name = draft.node("Conv", *inputs, pads=[kernel // 2] * 4)
    made = Map(name, (out, *source.shape[1:]))
    if draft.chance(0.2):
        made = _norm(draft, made)
    return _relu(draft, made) if draft.chance(0.4) else made


def _concat(draft: Draft, source: Map) -> Map:
    parts = [_branch(draft, source, draft.whole(1, 4)) for _ in range(draft.whole(1, 2))]
    if draft.chance(0.4):
        parts.append(source)
    if draft.chance(0.1):
        parts.append(parts[0])
    axis = -3 if draft.opset >= 11 and draft.chance(0.2) else 1
    made = draft.node("Concat", *(part.name for part in parts), axis=axis)
    joined = Map(made, (sum(part.shape[0] for part in parts), *source.shape[1:]))
    return _relu(draft, joined) if draft.chance(0.1) else joined


def _add(draft: Draft, source: Map) -> Map:
    first = _branch(draft, source, source.shape[0])
    second = source if draft.chance(0.6) else _branch(draft, source, source.shape[0])
    second = first if draft.chance(0.03) else second
    names = [first.name, second.name]
    draft.dice.shuffle(names)
    made = Map(draft.node(draft.pick("Add", "Add", "Sum"), *names), source.shape)
    return _relu(draft, made) if draft.chance(0.5) else made


def _same(draft: Draft, source: Map) -> Map:
    if draft.chance(0.5):
        return Map(draft.node("Identity", source.name), source.shape)
    return Map(dropout(draft, source.name), source.shape)


def dropout(draft: Draft, source: str) -> str:
    """Return what Dropout makes, in training mode now and then."""
    outputs = 2 if draft.chance(0.2) else 1
    if draft.opset < 12:
        ratio = 0.3 if draft.chance(0.5) else None
        return draft.node("Dropout", source, outputs=outputs, ratio=ratio)
    inputs = [source]
    if draft.chance(0.5):
        inputs.append(draft.constant(np.float32(0.4)))
        if draft.chance(0.3):
            inputs.append(draft.constant(np.bool_(draft.chance(0.1))))
    return draft.node("Dropout", *inputs, outputs=outputs)


def _arithmetic(draft: Draft, source: Map) -> Map:
    """What exporters put ahead of the first layer: the input's preparation."""
    channels = source.shape[0]
    for _ in range(draft.whole(1, 3)):
        kind = draft.pick("Mul", "Add", "Sub", "Div")
        value: Any = draft.vector(channels, 0.5, 2.0).reshape(draft.pick((1, -1, 1, 1), (-1, 1, 1)))
        if draft.chance(0.3):
            value = np.float32(draft.pick(0.5, 0.25, 2.0))
        names = [source.name, draft.constant(value)]
        if kind in ("Mul", "Add") and draft.chance(0.3):
            names.reverse()
        source = Map(draft.node(kind, *names), source.shape)
    return source


# How often each is drawn.
_STEPS: list[tuple[Step, int]] = [
    (_conv, 10),
    (_max_pool, 5),
    (_average_pool, 5),
    (_lrn, 2),
    (_norm, 1),
    (_pad, 5),
    (_concat, 4),
    (_add, 4),
    (_same, 2),
]


def float_case(seed: int) -> Case:
    """Return the float graph of a seed."""
    draft = Draft(seed, OPSETS)
    channels = draft.pick(1, 1, 2, 3, 3, 3, 4, 5, 8)
    size = (draft.whole(2, 14), draft.whole(2, 14))
    current = Map("data", (channels, *size))
    if draft.chance(0.2):
        current = _arithmetic(draft, current)
    kinds, often = zip(*_STEPS)
    steps = draft.whole(1, 4)
    for _ in range(steps):
        step = draft.dice.choices(kinds, often)[0]
        made = step(draft, current)
        current = current if made is None else made
    if draft.chance(0.5):
        current = flattened(draft, current)
        for _ in range(draft.whole(0, 2)):
            current = flat_step(draft, current, _relu)
    if draft.chance(0.15):
        current = softmax(draft, current)
    if draft.chance(0.01) and len(current.shape) == 3 and draft.opset >= 11:
        pads = np.array([0, 0, 1, 0, 0, 0, 0, draft.whole(0, 1)], np.int64)
        current = Map(draft.node("Pad", current.name, draft.constant(pads)), current.shape)
    if not draft.nodes or current.name == "data":
        current = _relu(draft, _branch(draft, Map("data", (channels, *size)), 3))
    means = tuple(draft.pick(0.0, 117.5, 127.0, 104.0) for _ in range(channels))
    stds = (draft.pick(1.0, 255.0, 64.0, 128.0),) * channels
    return Case(
        model=draft.model(channels, size, current.name),
        mean=means,
        std=stds,
        external=draft.chance(0.02),
        deploy=draft.chance(0.08),
        seed=seed,
    )
