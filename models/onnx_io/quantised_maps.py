"""Nodes of quantised ONNX graphs without weights: joining, averages, maxima and LRN."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.models.golden.fixed import lrn_table
from penstock.models.graph.graph import (
    Concat,
    ConvGeometry,
    QAveragePool,
    QGlobalAveragePool,
    QLrn,
)
from penstock.models.onnx_io.float_nodes import FLOAT_NODES, lrn_factors
from penstock.models.onnx_io.quantised_layers import rescale
from penstock.models.onnx_io.quantised_traversal import (
    Output,
    QuantisedTraversal,
    Waiting,
    alike,
)
from penstock.models.onnx_io.traversal import Handler
from penstock.models.onnx_io.values import NO_PAD, Unsupported, Value, window
from penstock.models.quant.calibrate import Encoding
from penstock.models.quant.rescale import multiplier_and_shift

__all__ = ["MAP_NODES"]

Attributes = dict[str, Any]


def _join(
    traversal: QuantisedTraversal,
    node: Any,
    values: list[Value],
    axis: Any,
    out: Encoding | None,
    name: str,
) -> None:
    """Put maps side by side; without `out` their codes as they are."""
    if axis not in (1, -3) or any(v.shape is not None and len(v.shape) != 3 for v in values):
        raise Unsupported(f"along axis {axis}: only along the channels")
    parts = []
    for index, value in enumerate(values):
        if out is not None and value.layer and not alike(traversal.of(value), out):
            # Under a name of its own: this map may be read elsewhere as it is.
            holder = Output(f"{node.output[0]}.{index}")
            rescale(traversal, holder, value, out, traversal.name("rescale"))
            value = traversal.values[holder.output[0]]
            del traversal.tensors[value.layer]
        parts.append(value)
    layer = Concat(name=name, inputs=tuple(value.layer for value in parts))
    traversal.finished(node, layer, out or traversal.of(values[0]), *parts)


def _concat(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    values = [traversal.value(node, index) for index in range(len(node.input))]
    axis = attributes.get("axis")
    if all(value.encoding is None for value in values):
        _join(traversal, node, values, axis, None, traversal.name("concat"))
        return
    traversal.waiting[node.output[0]] = Waiting(
        name=traversal.name("concat"),
        node=node,
        finish=lambda end, out, name: _join(traversal, end, values, axis, out, name),
    )


def _q_concat(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    values = [traversal.coded(node, index) for index in range(2, len(node.input), 3)]
    out, name = traversal.encoding(node, 0, 1), traversal.name("concat")
    _join(traversal, node, values, attributes.get("axis"), out, name)


def _mean(
    traversal: QuantisedTraversal,
    node: Any,
    value: Value,
    geometry: ConvGeometry | None,
    count_pad: bool,
    name: str,
    out: Encoding,
) -> None:
    """Add an average: of windows, or of the whole map without `geometry`."""
    source = traversal.of(value)
    ratio = np.float32(source.scale) / np.float32(out.scale)
    multiplier, shift = multiplier_and_shift(np.array([ratio]))
    # Trailing zeros taken off, a scale that stays is 1 / 2**0.
    while multiplier[0] % 2 == 0 and shift[0] > 0:
        multiplier, shift = multiplier >> 1, shift - 1
    layer: Any
    if geometry is None:
        layer = QGlobalAveragePool(
            name=name,
            inputs=(value.layer,),
            gain=int(multiplier[0]),
            shift=int(shift[0]),
            in_zero=source.zero,
            out_zero=out.zero,
            out_scale=out.scale,
        )
    else:
        layer = QAveragePool(
            name=name,
            inputs=(value.layer,),
            kernel=geometry.kernel,
            stride=geometry.stride,
            pad=geometry.pad,
            count_pad=count_pad,
            multiplier=int(multiplier[0]),
            shift=int(shift[0]),
            in_zero=source.zero,
            out_zero=out.zero,
        )
    traversal.finished(node, layer, out, value)


def _mean_window(
    traversal: QuantisedTraversal, node: Any, attributes: Attributes, value: Value
) -> tuple[ConvGeometry | None, bool]:
    """Window of an average, None for the whole map; and whether its padding counts."""
    if attributes.get("channels_last", 0):
        raise Unsupported("channels_last")
    if "Global" in node.op_type:
        return None, False
    kernel = tuple(attributes["kernel_shape"])
    count_pad = bool(attributes.get("count_include_pad", 0))
    geometry = window(attributes, kernel, value, ceil=True)
    if count_pad and geometry != window(attributes, kernel, value):
        raise Unsupported("ceil_mode with padding that counts")
    whole = value.shape is not None and kernel == value.shape[1:] and not any(geometry.pad)
    return (None, False) if whole else (geometry, count_pad)


def _average(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    geometry, count_pad = _mean_window(traversal, node, attributes, value)
    traversal.waiting[node.output[0]] = Waiting(
        name=traversal.name("pool"),
        node=node,
        finish=lambda end, out, name: _mean(traversal, end, value, geometry, count_pad, name, out),
    )


def _q_average(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.coded(node, 0)
    geometry, count_pad = _mean_window(traversal, node, attributes, value)
    out = traversal.encoding(node, 3, 4)
    _mean(traversal, node, value, geometry, count_pad, traversal.name("pool"), out)


def _lrn(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    name = traversal.name("norm")
    if attributes["size"] != 5:
        raise Unsupported(f"a window of {attributes['size']}, not 5")
    settings: dict[str, Any] = {**lrn_factors(attributes), "size": 5}

    def finish(end: Any, out: Encoding, name: str) -> None:
        source = traversal.of(value)
        if source.zero or out.zero:
            raise Unsupported(f"zero points of {source.zero} and {out.zero}, not 0")
        table, difference, shift = lrn_table(in_scale=source.scale, out_scale=out.scale, **settings)
        layer = QLrn(
            name=name,
            inputs=(value.layer,),
            table=table,
            difference=difference,
            shift=shift,
            **settings,
        )
        traversal.finished(end, layer, out, value)

    traversal.waiting[node.output[0]] = Waiting(name=name, node=node, finish=finish)


def _pool(traversal: QuantisedTraversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, padded=True)
    if value.pad != NO_PAD and value.encoding is None and node.input[0] in traversal.signed:
        raise Unsupported("padding of int8 codes ahead of it")
    FLOAT_NODES["MaxPool"](traversal, node, attributes)
    made = traversal.values[node.output[0]].layer
    traversal.codes[made] = traversal.of(value)
    traversal.pooled[made] = node.output[0]


MAP_NODES: dict[str, Handler] = {
    "AveragePool": _average,
    "Concat": _concat,
    "GlobalAveragePool": _average,
    "LRN": _lrn,
    "MaxPool": _pool,
    "QLinearAveragePool": _q_average,
    "QLinearConcat": _q_concat,
    "QLinearGlobalAveragePool": _q_average,
}
