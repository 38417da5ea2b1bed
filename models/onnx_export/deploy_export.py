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
    shape : tuple of int or None
        Of the output without the batch: (features,) or (channels, height, width); None: as the last
        layer makes it.
    """

    input: str = "data"
    output: str = "scores"
    spec: InputSpec
    ended: str = ""
    shape: tuple[int, ...] | None = None


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
    """From the last layer's map to floats in the float file's shape."""
    layer = network.layers[-1]
    shape = _made(network)
    kinds = ["Reshape"] if ends.shape is not None and ends.shape != shape else []
    kinds += [ends.ended] if ends.ended else []
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
        name = ends.output if kind == kinds[-1] else f"{layer.name}.{kind}"
        if kind == "Reshape":
            assert ends.shape is not None
            sizes = np.array([0, -1, *ends.shape[1:]], np.int64)
            last = graph.node(kind, [last, graph.constant(f"{layer.name}.shape", sizes)], name)
        else:
            last = graph.node(kind, [last], name, axis=1)


def _made(network: Network) -> tuple[int, ...]:
    """Shape of the last layer's map as its operator makes it, without the batch."""
    height, width, channels = infer_shapes(network)[network.layers[-1].name]
    last = network.layers[-1]
    flat = isinstance(last, QFc) and not last.relu
    return (channels,) if flat else (channels, height, width)


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
    shape = ends.shape or _made(network)
    model = finish(
        graph,
        network,
        (ends.input, TensorProto.FLOAT, ["N", channels, height, width]),
        [(ends.output, TensorProto.FLOAT, ["N", *shape])],
    )
    entry = model.metadata_props.add()
    entry.key = METADATA
    spec = ends.spec
    entry.value = json.dumps(
        {"order": spec.order, "mean": spec.mean, "std": spec.std, "resize": spec.resize}
    )
    return model
