"""A float network as an ONNX graph: normalised floats in, the last layer's values out.

====================  =========================================
layer                 becomes
====================  =========================================
Conv                  Conv, and Relu if it has one
MaxPool               MaxPool
AveragePool           AveragePool
GlobalAveragePool     GlobalAveragePool
Lrn                   LRN
Concat                Concat
Add                   Add, and Relu if it has one
Fc                    Flatten, Gemm, and Relu if it has one
====================  =========================================

How the input is made from pixels stands in the metadata, for `models.onnx_io.importer`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import TensorProto

from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    Fc,
    GlobalAveragePool,
    Layer,
    Lrn,
    MaxPool,
    Network,
    infer_shapes,
)
from penstock.models.onnx_export.deploy_export import METADATA
from penstock.models.onnx_export.operator_export import GraphMaker, finish

__all__ = ["export_float"]


def _weights(graph: GraphMaker, layer: Conv | Fc) -> list[str]:
    return [
        graph.constant(f"{layer.name}.weight", np.ascontiguousarray(layer.weight)),
        graph.constant(f"{layer.name}.bias", np.ascontiguousarray(layer.bias)),
    ]


def _add_layer(graph: GraphMaker, layer: Layer) -> None:
    name, inputs = layer.name, list(layer.inputs)
    made = f"{name}.sum" if getattr(layer, "relu", False) else name
    if isinstance(layer, Conv):
        geometry = layer.geometry
        graph.node(
            "Conv",
            [*inputs, *_weights(graph, layer)],
            made,
            kernel_shape=list(geometry.kernel),
            strides=list(geometry.stride),
            pads=list(geometry.pad),
            group=geometry.groups,
        )
    elif isinstance(layer, Fc):
        flat = graph.node("Flatten", inputs, f"{name}.flat")
        graph.node("Gemm", [flat, *_weights(graph, layer)], made, transB=1)
    elif isinstance(layer, MaxPool | AveragePool):
        counts = {}
        if isinstance(layer, AveragePool):
            counts["count_include_pad"] = int(layer.count_pad)
        graph.node(
            type(layer).__name__,
            inputs,
            made,
            kernel_shape=list(layer.geometry.kernel),
            strides=list(layer.geometry.stride),
            pads=list(layer.pad),
            **counts,
        )
    elif isinstance(layer, Lrn):
        graph.node(
            "LRN",
            inputs,
            made,
            size=layer.size,
            alpha=layer.alpha,
            beta=layer.beta,
            bias=layer.k,
        )
    elif isinstance(layer, Concat):
        graph.node("Concat", inputs, made, axis=1)
    elif isinstance(layer, GlobalAveragePool | Add):
        graph.node(type(layer).__name__, inputs, made)
    else:
        raise ValueError(f"layer {name}: {type(layer).__name__} is not a float layer")
    if made != name:
        graph.node("Relu", [made], name)


def export_float(network: Network) -> Any:
    """Return a float network as an ``onnx.ModelProto``.

    Its input is called ``input``, float32 (n, channels, height, width): ``(pixel - mean) / std``.
    Its output is called as the last layer is.

    Raises
    ------
    ValueError
        If a layer is quantised.
    """
    graph = GraphMaker()
    for layer in network.layers:
        _add_layer(graph, layer)
    height, width, channels = network.input.shape
    last = network.layers[-1]
    rows, columns, outputs = infer_shapes(network)[last.name]
    shape = ["N", outputs] if isinstance(last, Fc) else ["N", outputs, rows, columns]
    model = finish(
        graph,
        network,
        (INPUT, TensorProto.FLOAT, ["N", channels, height, width]),
        [(last.name, TensorProto.FLOAT, shape)],
    )
    spec = network.input
    entry = model.metadata_props.add()
    entry.key = METADATA
    entry.value = json.dumps(
        {"order": spec.order, "mean": spec.mean, "std": spec.std, "resize": spec.resize}
    )
    return model
