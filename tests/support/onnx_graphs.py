"""Builder of ONNX graphs: float networks as written by other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    Fc,
    GlobalAveragePool,
    Lrn,
    MaxPool,
    Network,
    infer_shapes,
)

__all__ = ["Maker", "float_model", "judge"]

Array = NDArray[Any]


class Maker:
    """Nodes and constants; `add` returns the name of a node's output."""

    def __init__(self, shape: list[int | str], *, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = shape
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def random(self, *shape: int) -> str:
        scale = np.sqrt(np.prod(shape[1:]))
        return self.constant((self.rng.normal(0, 1, shape) / scale).astype("f4"))

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], name, domain=domain, **attributes)
        )
        return output

    def model(self, output: str, *, opset: int = 17, producer: str = "", **value: Any) -> Any:
        kind = value.get("kind", TensorProto.FLOAT)
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("data", kind, self.shape)],
            [helper.make_tensor_value_info(output, value.get("out", TensorProto.FLOAT), None)],
            self.constants,
        )
        domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        made = helper.make_model(graph, opset_imports=domains, producer_name=producer)
        made.ir_version = 8
        return made

    def save(self, path: Path, output: str, **settings: Any) -> Path:
        onnx.save(self.model(output, **settings), path)
        return path


def float_model(network: Network) -> Any:
    """Return a float network as an ``onnx.ModelProto`` for normalised pixels called ``data``."""
    height, width, channels = network.input.shape
    maker = Maker(["n", channels, height, width])
    shapes = infer_shapes(network)
    names = {INPUT: "data"}
    for layer in network.layers:
        sources = [names[name] for name in layer.inputs]
        if isinstance(layer, Conv):
            geometry = layer.geometry
            out = maker.add(
                "Conv",
                sources[0],
                maker.constant(layer.weight),
                maker.constant(layer.bias),
                strides=list(geometry.stride),
                pads=list(geometry.pad),
                group=geometry.groups,
            )
        elif isinstance(layer, Fc):
            flat = sources[0]
            if len(shapes[layer.inputs[0]]) == 3:
                flat = maker.add("Flatten", flat)
            out = maker.add(
                "Gemm", flat, maker.constant(layer.weight), maker.constant(layer.bias), transB=1
            )
        elif isinstance(layer, Lrn):
            out = maker.add(
                "LRN",
                sources[0],
                size=layer.size,
                alpha=layer.alpha,
                beta=layer.beta,
                bias=layer.k,
            )
        elif isinstance(layer, GlobalAveragePool):
            out = maker.add("GlobalAveragePool", sources[0])
        elif isinstance(layer, MaxPool | AveragePool):
            out = maker.add(
                type(layer).__name__,
                sources[0],
                kernel_shape=list(layer.geometry.kernel),
                strides=list(layer.geometry.stride),
                pads=list(layer.pad),
            )
        elif isinstance(layer, Concat):
            out = maker.add("Concat", *sources, axis=1)
        else:
            assert isinstance(layer, Add)
            out = maker.add("Add", *sources)
        if getattr(layer, "relu", False):
            out = maker.add("Relu", out)
        names[layer.name] = out
    return maker.model(names[network.layers[-1].name])


def judge(model: Any, data: Array) -> Array:
    """Return what onnxruntime computes from an input (height, width, channels)."""
    content = model if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batch = np.ascontiguousarray(data.transpose(2, 0, 1))[None]
    return np.asarray(session.run(None, {name: batch})[0])
