"""A quantised network as an ONNX file to be used in place of the float one.

Its input and output are the float file's: normalised floats in, logits (or probabilities) as floats
out, any batch.  Between them stand the nodes of `models.onnx_export.operator_export`, so that every
code is what the accelerator computes.  How the input is made from pixels stands in the metadata,
for `models.onnx_io.importer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from penstock.models.graph.graph import INPUT, InputSpec, Network, QFc, infer_shapes
from penstock.models.onnx_export.operator_export import GraphMaker, add_layers, finish

__all__ = ["METADATA", "Ends", "deploy"]

METADATA = "penstock.input"


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Input and output of a float ONNX file.

    Parameters
    ----------
    input, output : str
        Names of the tensors.
    spec : InputSpec
        How the input tensor is made from pixels.
    ended : str
        The node after the last layer: ``Softmax``, ``LogSoftmax``, or nothing.
    """

    input: str = "data"
    output: str = "scores"
    spec: InputSpec
    ended: str = ""


def _prologue(graph: GraphMaker, network: Network, ends: Ends) -> None:
    """From the float file's input to codes."""
    spec, codes = ends.spec, network.input
    if any(value != 1 for value in codes.std):
        raise ValueError(f"{network.name}: its input codes are not plain pixels less a mean")
    last = ends.input

    def step(kind: str, values: tuple[float, ...], neutral: float) -> None:
        nonlocal last
        if any(value != neutral for value in values):
            numbers = np.array(values, np.float32).reshape(1, -1, 1, 1)
            constant = graph.constant(f"input.{kind}", numbers)
            last = graph.node(kind, [last, constant], f"input.{kind}.made")

    # Back to pixels, which are integers: halves of steps must be exactly that.
    step("Mul", spec.std, 1)
    step("Add", spec.mean, 0)
    last = graph.node("Round", [last], "input.pixels")
    step("Sub", codes.mean, 0)
    scale = graph.scalar("input.scale", codes.scale, "float32")
    zero = graph.scalar("input.zero", codes.zero, "uint8")
    graph.node("QuantizeLinear", [last, scale, zero], INPUT)


def _epilogue(graph: GraphMaker, network: Network, ends: Ends) -> None:
    """From the last layer's map to floats."""
    layer = network.layers[-1]
    kinds = [ends.ended] if ends.ended else []
    made = f"{layer.name}.float" if kinds else ends.output
    if isinstance(layer, QFc) and not layer.relu:
        wide = graph.node("Cast", [layer.name], f"{layer.name}.wide", to=TensorProto.FLOAT)
        scale = graph.constant(f"{layer.name}.steps", layer.out_scale.astype(np.float32))
        last = graph.node("Mul", [wide, scale], made)
    else:
        scale = graph.scalar(f"{layer.name}.steps", network.scales[layer.name], "float32")
        zero = graph.scalar(f"{layer.name}.code", network.zeros.get(layer.name, 0), "uint8")
        last = graph.node("DequantizeLinear", [layer.name, scale, zero], made)
    for kind in kinds:
        graph.node(kind, [last], ends.output, axis=1)


def deploy(network: Network, ends: Ends) -> Any:
    """Return a network that `models.quant.quantize.quantise` made as an ``onnx.ModelProto``.

    Raises
    ------
    ValueError
        As `models.onnx_export.operator_export.export`.
    """
    names = {layer.name for layer in network.layers} | {INPUT}
    if ends.input in names or ends.output in names:
        # The file's names stay; a layer of the same name would be a second maker.
        raise ValueError(f"{network.name}: a layer is called as the input or output is")
    graph = GraphMaker()
    _prologue(graph, network, ends)
    add_layers(graph, network)
    _epilogue(graph, network, ends)
    height, width, channels = network.input.shape
    rows, columns, outputs = infer_shapes(network)[network.layers[-1].name]
    flat = isinstance(network.layers[-1], QFc) and not network.layers[-1].relu
    model = finish(
        graph,
        network,
        (ends.input, TensorProto.FLOAT, ["N", channels, height, width]),
        [(ends.output, TensorProto.FLOAT, ["N", outputs, *([] if flat else [rows, columns])])],
    )
    entry = model.metadata_props.add()
    entry.key = METADATA
    spec = ends.spec
    entry.value = json.dumps(
        {"order": spec.order, "mean": spec.mean, "std": spec.std, "resize": spec.resize}
    )
    return model
