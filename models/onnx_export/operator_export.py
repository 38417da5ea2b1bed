"""A quantised network as an ONNX graph of quantised operators: what onnxruntime is asked.

====================  ================================================================
layer                 becomes
====================  ================================================================
QConv                 QLinearConv (uint8 x int8 per channel -> uint8)
MaxPool               MaxPool on uint8
QLrn                  DequantizeLinear, LRN in float, QuantizeLinear
QAveragePool          DequantizeLinear, AveragePool in float, QuantizeLinear
Concat                Concat on uint8
QAdd                  QLinearAdd (onnxruntime's own)
QGlobalAveragePool    DequantizeLinear, GlobalAveragePool in float, QuantizeLinear
QFc with ReLU         QLinearConv over the whole map
QFc without ReLU      Flatten, MatMulInteger, Add: int32 logits
====================  ================================================================

Maps are NCHW with a batch of 1.  The input is the map of input codes, called ``input``; every
feature map is an output under its layer's name.  Fully connected layers after the first read 1x1
maps, so their flattening order needs no care.

Averages: ONNX rounds halves to even, or either way where an optimiser multiplies by a rounded
``1 / positions``; Penstock rounds them up.  The exported output scale is a hair finer, which lifts
every half over the edge and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.models.graph.graph import (
    INPUT,
    Concat,
    Layer,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    Shape,
    infer_shapes,
)
from penstock.models.quant.rows import OUT_SHIFT

__all__ = ["GraphMaker", "add_layers", "export", "finish"]

_OPSET = 17
_ORT_DOMAIN = "com.microsoft"

# Far more than float32's rounding of a mean, far less than what separates other means from a half.
_LIFT = 1 - 2.0**-20


class GraphMaker:
    """Nodes and constants in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def scalar(self, name: str, value: float, dtype: str) -> str:
        return self.constant(name, np.array(value, dtype))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _weight_scale(layer: QConv | QFc, in_scale: float, out_scale: float) -> NDArray[np.float32]:
    scale = layer.multiplier * 2.0 ** -layer.shift.astype(np.float64) * out_scale / in_scale
    return scale.astype(np.float32)


def _linear_conv(
    graph: GraphMaker,
    layer: QConv | QFc,
    weight: NDArray[np.int8],
    in_scale: float,
    in_zero: int,
    out_scale: float,
    **attributes: Any,
) -> None:
    """Add a QLinearConv; `weight` is (out_ch, in_ch / groups, kh, kw)."""
    if (layer.shift != OUT_SHIFT).any():
        raise ValueError(f"layer {layer.name}: only shifts of {OUT_SHIFT} are exact in ONNX")
    name = layer.name
    # The operator subtracts the zero point itself; ours has it folded into the bias.
    sums = weight.sum(axis=(1, 2, 3), dtype=np.int64)
    bias = (layer.bias.astype(np.int64) + in_zero * sums).astype(np.int32)
    graph.node(
        "QLinearConv",
        [
            layer.inputs[0],
            graph.scalar(f"{name}.in_scale", in_scale, "float32"),
            graph.scalar(f"{name}.in_zero", in_zero, "uint8"),
            graph.constant(f"{name}.weight", np.ascontiguousarray(weight)),
            graph.constant(f"{name}.weight_scale", _weight_scale(layer, in_scale, out_scale)),
            graph.constant(f"{name}.weight_zero", np.zeros(len(weight), np.int8)),
            graph.scalar(f"{name}.out_scale", out_scale, "float32"),
            graph.scalar(f"{name}.out_zero", 0, "uint8"),
            graph.constant(f"{name}.bias", bias),
        ],
        name,
        **attributes,
    )


def _in_float(
    graph: GraphMaker, kind: str, layer: Layer, in_scale: float, out_scale: float, **attributes: Any
) -> None:
    """Add a node that works on floats between two that convert."""
    name = layer.name
    zero = graph.scalar(f"{name}.zero", 0, "uint8")
    steps = graph.scalar(f"{name}.in_scale", in_scale, "float32")
    real = graph.node("DequantizeLinear", [layer.inputs[0], steps, zero], f"{name}.real")
    made = graph.node(kind, [real], f"{name}.made", **attributes)
    steps = graph.scalar(f"{name}.out_scale", out_scale, "float32")
    graph.node("QuantizeLinear", [made, steps, zero], name)


def _average(graph: GraphMaker, layer: QAveragePool, scale: float) -> None:
    if (layer.multiplier, layer.shift) != (1, 0) or layer.in_zero != layer.out_zero:
        raise ValueError(f"layer {layer.name}: only averages that keep the scale are exact in ONNX")
    if layer.in_zero and layer.count_pad and any(layer.pad):
        raise ValueError(f"layer {layer.name}: padding that counts is not exact with a zero point")
    # The mean of codes is the code of the mean: the zero point does not matter, and as 0 it keeps
    # halves positive.
    _in_float(
        graph,
        "AveragePool",
        layer,
        scale,
        scale * _LIFT,
        kernel_shape=list(layer.kernel),
        strides=list(layer.stride),
        pads=list(layer.pad),
        count_include_pad=int(layer.count_pad),
    )


def _max_pool(graph: GraphMaker, layer: MaxPool) -> None:
    source, pad = layer.inputs[0], list(layer.pad)
    if any(side >= layer.kernel for side in pad):
        # The operator takes no windows of padding only.
        around = np.array([0, 0, *pad[:2], 0, 0, *pad[2:]], np.int64)
        sizes = graph.constant(f"{layer.name}.pads", around)
        fill = graph.scalar(f"{layer.name}.fill", 0, "uint8")
        source = graph.node("Pad", [source, sizes, fill], f"{layer.name}.padded")
        pad = [0] * 4
    size, stride = [layer.kernel] * 2, [layer.stride] * 2
    graph.node("MaxPool", [source], layer.name, kernel_shape=size, strides=stride, pads=pad)


def _add(graph: GraphMaker, layer: QAdd, network: Network) -> None:
    inputs = []
    for part, source in zip(("a", "b", "out"), (*layer.inputs, layer.name)):
        inputs += [
            *([source] if part != "out" else []),
            graph.scalar(f"{layer.name}.{part}_scale", network.scales[source], "float32"),
            graph.scalar(f"{layer.name}.{part}_zero", network.zeros.get(source, 0), "uint8"),
        ]
    graph.node("QLinearAdd", inputs, layer.name, domain=_ORT_DOMAIN)


def _fc(
    graph: GraphMaker, layer: QFc, shape: Shape, in_scale: float, out_scale: float | None
) -> None:
    name = layer.name
    if layer.relu:
        assert out_scale is not None
        height, width, channels = shape
        weight = layer.weight.reshape(-1, channels, height, width)
        _linear_conv(graph, layer, weight, in_scale, 0, out_scale, kernel_shape=[height, width])
        return
    flat = graph.node("Flatten", [layer.inputs[0]], f"{name}.flat")
    matrix = graph.constant(f"{name}.weight", np.ascontiguousarray(layer.weight.T))
    product = graph.node("MatMulInteger", [flat, matrix], f"{name}.product")
    bias = graph.constant(f"{name}.bias", layer.bias.astype(np.int32))
    graph.node("Add", [product, bias], name)


def add_layers(graph: GraphMaker, network: Network) -> list[tuple[str, int, list[Any]]]:
    """Add the nodes of all layers; return name, type and shape of each layer's map.

    Raises
    ------
    ValueError
        If the network is not quantised, or not by `models.quant.quantize` (other shifts than 16).
    """
    shapes = infer_shapes(network)
    outputs: list[tuple[str, int, list[Any]]] = []
    for layer in network.layers:
        source = layer.inputs[0]
        if isinstance(layer, QFc) and not layer.relu:
            _fc(graph, layer, shapes[source], network.scales[source], None)
            outputs.append((layer.name, TensorProto.INT32, [1, layer.weight.shape[0]]))
            continue
        height, width, channels = shapes[layer.name]
        outputs.append((layer.name, TensorProto.UINT8, [1, channels, height, width]))
        if isinstance(layer, MaxPool):
            _max_pool(graph, layer)
            continue
        scale = network.scales.get(source, 1.0), network.scales.get(layer.name, 1.0)
        if isinstance(layer, QConv):
            geometry = layer.geometry
            _linear_conv(
                graph,
                layer,
                layer.weight.transpose(0, 3, 1, 2),
                scale[0],
                layer.in_zero,
                scale[1],
                kernel_shape=list(geometry.kernel),
                strides=list(geometry.stride),
                pads=list(geometry.pad),
                group=geometry.groups,
            )
        elif isinstance(layer, Concat):
            graph.node("Concat", list(layer.inputs), layer.name, axis=1)
        elif isinstance(layer, QAdd):
            _add(graph, layer, network)
        elif isinstance(layer, QAveragePool):
            _average(graph, layer, scale[0])
        elif isinstance(layer, QLrn):
            settings = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
            _in_float(graph, "LRN", layer, *scale, size=layer.size, **settings)
        elif isinstance(layer, QGlobalAveragePool):
            _in_float(graph, "GlobalAveragePool", layer, scale[0], scale[1] * _LIFT)
        elif isinstance(layer, QFc):
            _fc(graph, layer, shapes[source], *scale)
        else:
            raise ValueError(f"layer {layer.name}: {type(layer).__name__} is not quantised")
    return outputs


def finish(
    graph: GraphMaker,
    network: Network,
    given: tuple[str, int, list[Any]],
    outputs: list[tuple[str, int, list[Any]]],
) -> Any:
    """Return the ``onnx.ModelProto`` of a graph; inputs and outputs are (name, type, shape)."""
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [helper.make_tensor_value_info(*given)],
            [helper.make_tensor_value_info(*output) for output in outputs],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_ORT_DOMAIN, 1)],
        producer_name="penstock",
    )
    # Old enough for every onnxruntime that knows the operators.
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def export(network: Network) -> Any:
    """Return a quantised network as an ``onnx.ModelProto`` that gives every feature map.

    Raises
    ------
    ValueError
        If the network is not quantised, or not by `models.quant.quantize` (other shifts than 16).
    """
    graph = GraphMaker()
    outputs = add_layers(graph, network)
    height, width, channels = network.input.shape
    given = (INPUT, TensorProto.UINT8, [1, channels, height, width])
    return finish(graph, network, given, outputs)
