"""Float ONNX graphs as networks: sequential ones, of the layers AlexNet is made of.

Conv, Gemm, MatMul, Add (a bias), Relu, LRN, MaxPool, GlobalAveragePool (or AveragePool over the
whole map), Flatten, Reshape (to a vector), Dropout, Identity and Softmax (at the end), opset 7 to
21, with constants as initialisers or Constant nodes.  Everything that is not supported is listed
before any work is done.

Layers get the names the literature uses: ``conv1``, ``norm1``, ``pool1``, ... counted by the layers
with weights, so that AlexNet ends in ``fc6``, ``fc7``, ``fc8``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph import (
    INPUT,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    ceil_pad,
    infer_shapes,
)
from models.labels import class_labels

__all__ = ["OPSETS", "load_float"]

OPSETS = range(7, 22)

Array = NDArray[Any]

# What image networks are trained on when nobody says otherwise: Caffe's, and torchvision's for
# graphs that PyTorch wrote.
_CAFFE = {"order": "BGR", "mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0)}
_TORCH = {"order": "RGB", "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


class _Unsupported(Exception):
    """Why a node has no counterpart here."""


@dataclass
class _Reader:
    """Walks the nodes in order and collects layers.

    ``shape`` is (channels, height, width), (features,) once flat, None where it is not known.
    """

    constants: dict[str, Array]
    cursor: str
    shape: tuple[int, ...] | None
    layers: list[Layer] = field(default_factory=list)
    weighted: int = 0
    ended: str = ""

    def _name(self, kind: str) -> str:
        base = name = f"{kind}{self.weighted}"
        taken = {layer.name for layer in self.layers}
        letter = ord("b")
        while name in taken:
            name = f"{base}{chr(letter)}"
            letter += 1
        return name

    def _source(self) -> tuple[str, ...]:
        return (self.layers[-1].name if self.layers else INPUT,)

    def _constant(self, node: Any, index: int, what: str) -> Array:
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.constants:
            raise _Unsupported(f"its {what} must be a constant")
        return self.constants[name]

    def _weights(self, node: Any, index: int, what: str, dims: int) -> NDArray[np.float32]:
        array = self._constant(node, index, what)
        if array.dtype.kind != "f" or array.ndim != dims:
            raise _Unsupported(
                f"its {what} must be {dims}-D floats, not {array.ndim}-D {array.dtype}"
            )
        return array.astype(np.float32, copy=False)

    def read(self, node: Any) -> None:
        """Take one node whose data input is the cursor.  Raises `_Unsupported`."""
        handler: Callable[[Any, dict[str, Any]], None] | None = getattr(
            self, f"_read_{node.op_type.lower()}", None
        )
        if handler is None or node.domain not in ("", "ai.onnx"):
            raise _Unsupported("no such layer here")
        if self.ended:
            raise _Unsupported(f"comes after {self.ended}")
        handler(node, {a.name: helper.get_attribute_value(a) for a in node.attribute})

    def _window(self, attributes: dict[str, Any], kernel: list[int]) -> tuple[list[int], list[int]]:
        """Strides and pads."""
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise _Unsupported(f"auto_pad {attributes['auto_pad'].decode()}")
        if len(kernel) != 2:
            raise _Unsupported(f"{len(kernel)}-D windows")
        if any(d != 1 for d in attributes.get("dilations", [])):
            raise _Unsupported(f"dilations {list(attributes['dilations'])}")
        pads = list(attributes.get("pads", [0] * 4))
        if attributes.get("auto_pad") == b"VALID":
            pads = [0] * 4
        if min(pads) < 0:
            raise _Unsupported(f"negative pads {pads}")
        return list(attributes.get("strides", [1, 1])), pads

    def _slide(self, geometry: ConvGeometry, channels: int | None) -> None:
        if self.shape is None:
            return
        if len(self.shape) != 3:
            raise _Unsupported("its input is flat")
        try:
            out = geometry.out_size(*self.shape[1:])
        except ValueError as error:
            raise _Unsupported(str(error)) from None
        self.shape = (channels or self.shape[0], *out)

    def _read_conv(self, node: Any, attributes: dict[str, Any]) -> None:
        weight = self._weights(node, 1, "weight", 4)
        bias = np.zeros(len(weight), np.float32)
        if len(node.input) > 2 and node.input[2]:
            bias = self._weights(node, 2, "bias", 1)
        strides, pads = self._window(attributes, list(weight.shape[2:]))
        geometry = ConvGeometry(
            kernel=(weight.shape[2], weight.shape[3]),
            stride=(strides[0], strides[1]),
            pad=(pads[0], pads[1], pads[2], pads[3]),
            groups=attributes.get("group", 1),
        )
        self._slide(geometry, len(weight))
        self.weighted += 1
        self.layers.append(
            Conv(
                name=self._name("conv"),
                inputs=self._source(),
                geometry=geometry,
                weight=weight,
                bias=bias,
                relu=False,
            )
        )

    def _fc(self, weight: Array, bias: Array) -> None:
        if self.shape is not None and self.shape != (weight.shape[1],):
            raise _Unsupported(f"weights for {weight.shape[1]} inputs on an input of {self.shape}")
        self.weighted += 1
        self.shape = (len(weight),)
        self.layers.append(
            Fc(
                name=self._name("fc"),
                inputs=self._source(),
                weight=np.ascontiguousarray(weight),
                bias=bias,
                relu=False,
            )
        )

    def _read_gemm(self, node: Any, attributes: dict[str, Any]) -> None:
        if attributes.get("transA", 0):
            raise _Unsupported("transA")
        weight = self._weights(node, 1, "weight", 2)
        if not attributes.get("transB", 0):
            weight = weight.T
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        if alpha != 1:
            weight = weight * np.float32(alpha)
        bias = np.zeros(len(weight), np.float32)
        if len(node.input) > 2 and node.input[2]:
            bias += self._constant(node, 2, "bias").reshape(-1).astype(np.float32) * beta
        self._fc(weight, bias)

    def _read_matmul(self, node: Any, attributes: dict[str, Any]) -> None:
        weight = self._weights(node, 1, "weight", 2).T
        self._fc(weight, np.zeros(len(weight), np.float32))

    def _read_add(self, node: Any, attributes: dict[str, Any]) -> None:
        other = next((name for name in node.input if name != self.cursor), "")
        last = self.layers[-1] if self.layers else None
        if other not in self.constants or not isinstance(last, Conv | Fc) or last.relu:
            raise _Unsupported("only a constant bias right after MatMul, Gemm or Conv can be added")
        value = self.constants[other]
        # A bias of a convolution must be spread along the channels, not along the columns.
        fits = value.size == 1 or (
            value.shape[value.ndim - 3 :] == (len(last.bias), 1, 1)
            if isinstance(last, Conv)
            else value.shape[-1] == value.size
        )
        if not fits or value.size not in (1, len(last.bias)):
            raise _Unsupported(f"a constant of shape {value.shape} is not a bias")
        bias = (last.bias + value.reshape(-1)).astype(np.float32)
        self.layers[-1] = replace(last, bias=bias)

    def _read_relu(self, node: Any, attributes: dict[str, Any]) -> None:
        index = len(self.layers) - 1
        # The maximum of rectified values is the rectified maximum.
        while index >= 0 and isinstance(self.layers[index], MaxPool):
            index -= 1
        layer = self.layers[index] if index >= 0 else None
        if not isinstance(layer, Conv | Fc):
            raise _Unsupported("it does not follow Conv, Gemm or MatMul")
        self.layers[index] = replace(layer, relu=True)

    def _read_lrn(self, node: Any, attributes: dict[str, Any]) -> None:
        self.layers.append(
            Lrn(
                name=self._name("norm"),
                inputs=self._source(),
                size=int(attributes["size"]),
                # Attributes are float32: 1e-4 comes back with digits nobody wrote.
                alpha=float(f"{attributes.get('alpha', 1e-4):.7g}"),
                beta=float(f"{attributes.get('beta', 0.75):.7g}"),
                k=float(f"{attributes.get('bias', 1.0):.7g}"),
            )
        )

    def _read_maxpool(self, node: Any, attributes: dict[str, Any]) -> None:
        kernel = list(attributes["kernel_shape"])
        strides, pads = self._window(attributes, kernel)
        if kernel[0] != kernel[1] or strides[0] != strides[1]:
            raise _Unsupported(f"a window of {kernel} with strides {strides} is not square")
        if len(node.output) > 1 and node.output[1]:
            raise _Unsupported("indices as a second output")
        pad = (pads[0], pads[1], pads[2], pads[3])
        if attributes.get("ceil_mode", 0) and self.shape is not None and len(self.shape) == 3:
            pad = ceil_pad((self.shape[1], self.shape[2]), kernel[0], strides[0], pad)
        pool = MaxPool(
            name=self._name("pool"),
            inputs=self._source(),
            kernel=kernel[0],
            stride=strides[0],
            pad=pad,
        )
        self._slide(pool.geometry, None)
        self.layers.append(pool)

    def _read_averagepool(self, node: Any, attributes: dict[str, Any]) -> None:
        kernel = list(attributes["kernel_shape"])
        # What adaptive average pooling becomes when the map already has the size it makes.
        one = {*kernel, *attributes.get("strides", [1])} == {1}
        whole = self.shape is not None and kernel == list(self.shape[1:])
        if not (one or whole) or any(attributes.get("pads", [])):
            raise _Unsupported("average pooling of less than the whole map")
        if not one:
            self._read_globalaveragepool(node, attributes)

    def _read_globalaveragepool(self, node: Any, attributes: dict[str, Any]) -> None:
        if self.shape is not None:
            if len(self.shape) != 3:
                raise _Unsupported("its input is flat")
            self.shape = (self.shape[0], 1, 1)
        self.layers.append(GlobalAveragePool(name=self._name("pool"), inputs=self._source()))

    def _flat(self) -> None:
        if self.shape is not None:
            self.shape = (int(np.prod(self.shape)),)

    def _read_flatten(self, node: Any, attributes: dict[str, Any]) -> None:
        if attributes.get("axis", 1) not in (1, -3 if self.shape and len(self.shape) == 3 else 1):
            raise _Unsupported(f"axis {attributes['axis']}")
        self._flat()

    def _read_reshape(self, node: Any, attributes: dict[str, Any]) -> None:
        target = [int(value) for value in self._constant(node, 1, "shape").reshape(-1)]
        flat = None if self.shape is None else int(np.prod(self.shape))
        if len(target) != 2 or target[0] not in (-1, 0, 1) or target[1] not in (-1, flat or -1):
            raise _Unsupported(f"to {target}: only to a vector")
        self._flat()

    def _read_dropout(self, node: Any, attributes: dict[str, Any]) -> None:
        """Nothing is dropped in inference."""

    def _read_identity(self, node: Any, attributes: dict[str, Any]) -> None:
        """The same values under another name."""

    def _read_softmax(self, node: Any, attributes: dict[str, Any]) -> None:
        # The classes' order is the logits'; the runtime computes probabilities itself.
        self.ended = "Softmax"


def _load(path: str | os.PathLike[str]) -> Any:
    try:
        model = onnx.load(os.fspath(path))
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename or path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # the parser's own exceptions differ from version to version
        text = " ".join(str(error).split())
        raise ValueError(f"{path}: not a readable ONNX file: {text}") from None
    if not model.graph.node:
        raise ValueError(f"{path}: not an ONNX file, or one without nodes")
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise ValueError(
            f"{path}: opset {', '.join(map(str, versions)) or 'missing'}; supported are "
            f"{OPSETS[0]} to {OPSETS[-1]}"
        )
    return model


def _input(path: str | os.PathLike[str], graph: Any) -> tuple[str, tuple[int, int, int]]:
    """Name and (channels, height, width) of the one input that is no initialiser."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ValueError(f"{path}: one input is needed, not {len(inputs)} ({names})")
    kind = inputs[0].type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    if kind.elem_type != onnx.TensorProto.FLOAT or len(dims) != 4 or min(dims[1:]) < 1:
        shown = "x".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim) or "no shape"
        raise ValueError(
            f"{path}: input {inputs[0].name} must be float32 of N x C x H x W with C, H and W "
            f"fixed, not {shown}"
        )
    return inputs[0].name, (dims[1], dims[2], dims[3])


def _constant_node(node: Any) -> Array | None:
    """Value of a Constant node; None for kinds nobody uses for weights and shapes."""
    attribute = node.attribute[0]
    if attribute.name == "value":
        return np.asarray(numpy_helper.to_array(attribute.t))
    if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
        return np.array(helper.get_attribute_value(attribute))
    return None


def _walk(path: str | os.PathLike[str], graph: Any) -> _Reader:
    name, shape = _input(path, graph)
    constants = {t.name: np.asarray(numpy_helper.to_array(t)) for t in graph.initializer}
    reader = _Reader(constants, name, shape)
    problems: list[str] = []
    for node in graph.node:
        inputs = [source for source in node.input if source]
        if node.op_type == "Constant":
            value = _constant_node(node)
            if value is not None:
                reader.constants[node.output[0]] = value
            continue
        if node.op_type == "Identity" and inputs[0] in reader.constants:
            reader.constants[node.output[0]] = reader.constants[inputs[0]]
            continue
        try:
            if reader.cursor not in inputs:
                raise _Unsupported(f"does not read {reader.cursor}: only sequential graphs")
            reader.read(node)
        except _Unsupported as error:
            problems.append(f"{node.op_type} {node.name or node.output[0]} ({error})")
            reader.shape = None
        reader.cursor = node.output[0]
    if problems:
        raise ValueError(f"{path}: unsupported: {'; '.join(problems)}")
    outputs = [value.name for value in graph.output]
    if outputs != [reader.cursor]:
        raise ValueError(f"{path}: the one output must be {reader.cursor}, not {outputs}")
    return reader


def _class_labels(reader: _Reader) -> tuple[str, ...]:
    """Names of the classes, if the graph ends in a classifier."""
    last = reader.layers[-1] if reader.layers else None
    if isinstance(last, Fc):
        return class_labels(len(last.bias))
    if isinstance(last, GlobalAveragePool) and reader.shape is not None:
        return class_labels(reader.shape[0])
    return ()


def load_float(
    path: str | os.PathLike[str],
    *,
    order: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: int | None = None,
    labels: tuple[str, ...] = (),
) -> Network:
    """Return the float network of an ONNX file.

    An ONNX file does not say how its input is made.  Unless told, graphs written by PyTorch get
    torchvision's preparation (RGB, its means and deviations), others Caffe's (BGR less 104, 117,
    123); one-channel inputs get pixels divided by 255.

    Parameters
    ----------
    path : path
    order : str, optional
        ``"RGB"``, ``"BGR"`` or ``"L"``.
    mean, std : tuples of float, optional
        One for each channel, in pixel units (0 to 255).
    resize : int, optional
        Shorter side before the centre crop; 8/7 of the input's unless told (256 for 224 and 227).
    labels : tuple of str, optional
        One for each class; ImageNet's for 1000 classes.

    Raises
    ------
    ValueError
        If the file cannot be read or holds what is not supported; all such nodes are listed with
        name and reason.
    """
    model = _load(path)
    reader = _walk(path, model.graph)
    _, (channels, height, width) = _input(path, model.graph)
    usual: dict[str, Any] = _TORCH if model.producer_name == "pytorch" else _CAFFE
    if channels != 3:
        usual = {"order": "L", "mean": (0.0,) * channels, "std": (255.0,) * channels}
    side = min(height, width)
    spec = InputSpec(
        shape=(height, width, channels),
        resize=resize or (256 if side == 227 else round(side * 8 / 7)),
        order=order or usual["order"],
        mean=mean or usual["mean"],
        std=std or usual["std"],
    )
    network = Network(
        name=Path(path).stem,
        input=spec,
        layers=tuple(reader.layers),
        labels=labels or _class_labels(reader),
        trained=True,
        source=str(path),
    )
    try:
        infer_shapes(network)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return network
