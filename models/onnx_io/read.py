"""ONNX files as lists of nodes in order of computation, with what they claim checked first.

Nothing is believed: sizes of tensors are compared with the bytes there are before any array is
made, and nodes are sorted, so that cycles and missing inputs are found before any work.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

__all__ = ["Graph", "OPSETS", "external_files", "read_graph"]

OPSETS = range(7, 22)

Array = NDArray[Any]

# Largest file in one part: the limit of protobuf.
_LARGEST_FILE = (1 << 31) - 1

# Values in one feature map: far beyond any network that fits a device, far below memory's end.
_LARGEST_MAP = 1 << 27

# Types of constants, the size of an element, and the field that holds it without `raw_data`.
_TYPES = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.BOOL: (1, "int32_data"),
}


@dataclass(kw_only=True)
class Graph:
    """The part of a graph that its output needs.

    Members
    -------
    path : str
    nodes : list of NodeProto
        In an order in which every input is computed before its use.
    constants : dict of arrays by tensor name
    input, output : str
        Names of the tensors.
    input_type : int
        ``TensorProto.FLOAT``, ``UINT8`` or ``INT8``.
    shape : (int, int, int)
        Channels, height, width of the input.
    uses : Counter
        How often each tensor is read; being the output counts.
    opset : int
    producer : str
    metadata : dict of str
    """

    path: str
    nodes: list[Any]
    constants: dict[str, Array]
    input: str
    input_type: int
    output: str
    shape: tuple[int, int, int]
    uses: Counter[str]
    opset: int
    producer: str
    metadata: dict[str, str]


def _human(size: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"


def _parse(path: str) -> Any:
    try:
        size = os.path.getsize(path)
        if os.path.isdir(path):
            raise ValueError(f"{path}: is a directory, not an ONNX file")
        if not 0 < size <= _LARGEST_FILE:
            raise ValueError(f"{path}: not an ONNX file: it has {_human(size)}")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # the parser's own exceptions differ from version to version, and say less
        raise ValueError(
            f"{path}: not an ONNX file, or one that is cut short or damaged: {_human(size)} that "
            "do not parse as one"
        ) from None
    if not model.graph.node:
        raise ValueError(f"{path}: not an ONNX file, or one without nodes")
    return model


def _opset(model: Any) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise ValueError(
            f"opset {', '.join(map(str, versions)) or 'missing'}; supported are {OPSETS[0]} to "
            f"{OPSETS[-1]}"
        )
    return int(versions[0])


def _external(tensor: Any, folder: Path) -> int:
    """Bytes that an external file holds for a tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = entries.get("location", "")
    if not place or Path(place).is_absolute() or ".." in Path(place).parts:
        raise ValueError(f"tensor {tensor.name}: external data at {place!r} is outside the folder")
    file = folder / place
    if not file.is_file():
        raise ValueError(f"tensor {tensor.name}: its external data {place} is missing")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except ValueError:
        raise ValueError(f"tensor {tensor.name}: its external data has no valid place") from None
    rest = file.stat().st_size - offset
    if offset < 0 or rest < 0:
        raise ValueError(f"tensor {tensor.name}: {place} ends before its data begins")
    return rest if length < 0 else min(length, rest)


def external_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files beside an ONNX file that hold its weights, in order of name.

    Raises
    ------
    ValueError
        If the file is not an ONNX file, or one of these is missing.
    """
    path = os.fspath(path)
    places = set()
    for tensor in _parse(path).graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            try:
                _external(tensor, Path(path).parent)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            places |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    return [Path(path).parent / place for place in sorted(places)]


def _constant(tensor: Any, folder: Path) -> Array:
    """The array of a tensor; floats as float32."""
    name = tensor.name or "of a node"
    if tensor.data_type not in _TYPES:
        kinds = {number: kind for kind, number in TensorProto.DataType.items()}
        kind = kinds.get(tensor.data_type, tensor.data_type)
        raise ValueError(f"tensor {name}: values of type {kind} are not supported")
    if any(size < 0 for size in tensor.dims):
        raise ValueError(f"tensor {name}: its shape {list(tensor.dims)} is not one")
    size, field = _TYPES[tensor.data_type]
    count = 1
    for length in tensor.dims:
        count *= length
    outside = tensor.data_location == TensorProto.EXTERNAL
    if outside:
        held = _external(tensor, folder)
    elif tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
    else:
        held = len(getattr(tensor, field)) * size
    if held != count * size:
        raise ValueError(
            f"tensor {name}: its shape {list(tensor.dims)} means {_human(count * size)}, but there "
            f"are {_human(held)}"
        )
    if outside:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    array = np.asarray(numpy_helper.to_array(tensor))
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _constant_node(node: Any, folder: Path) -> Array | None:
    """Value of a Constant node; None for kinds that are not used for weights and shapes."""
    if len(node.attribute) != 1:
        raise ValueError(f"node {node.name or node.output[0]}: a Constant has one value")
    attribute = node.attribute[0]
    if attribute.name == "value":
        return _constant(attribute.t, folder)
    if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
        value = np.array(helper.get_attribute_value(attribute))
        return value.astype(np.float32) if value.dtype.kind == "f" else value
    return None


def _input(graph: Any, constants: dict[str, Array]) -> tuple[str, int, tuple[int, int, int]]:
    """Name, type and (channels, height, width) of the one input that is no initialiser."""
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ValueError(f"one input is needed, not {len(inputs)} ({names})")
    kind = inputs[0].type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    known = kind.elem_type in (TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8)
    if not known or len(dims) != 4 or min(dims[1:]) < 1:
        shown = "x".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim) or "no shape"
        raise ValueError(
            f"input {inputs[0].name} must be float32 (or uint8 or int8, of a quantised network) of "
            f"N x C x H x W with C, H and W fixed, not {shown}"
        )
    if dims[1] * dims[2] * dims[3] > _LARGEST_MAP:
        raise ValueError(f"input {inputs[0].name}: {dims[1]}x{dims[2]}x{dims[3]} is too large")
    return inputs[0].name, kind.elem_type, (dims[1], dims[2], dims[3])


def _label(node: Any) -> str:
    return f"{node.op_type} {node.name or (node.output[0] if node.output else '')}".strip()


def _sorted(nodes: list[Any], known: set[str], output: str) -> list[Any]:
    """The nodes that `output` needs, in topological order."""
    maker: dict[str, Any] = {}
    for node in nodes:
        for name in node.output:
            if name and (name in maker or name in known):
                raise ValueError(f"{_label(node)}: makes {name}, which is there already")
            maker[name] = node
    if output not in maker:
        raise ValueError(f"its output {output} is made by no node")
    done: set[int] = set()
    open_: set[int] = set()
    order = []
    # Depth first, without recursion: a crafted chain may be longer than Python's stack.
    stack = [(maker[output], False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            open_.discard(id(node))
            done.add(id(node))
            order.append(node)
            continue
        if id(node) in done:
            continue
        if id(node) in open_:
            raise ValueError(f"{_label(node)}: reads what it makes: the graph has a cycle")
        open_.add(id(node))
        stack.append((node, True))
        for name in reversed(node.input):
            if not name or name in known:
                continue
            if name not in maker:
                raise ValueError(f"{_label(node)}: reads {name}, which nothing makes")
            if id(maker[name]) not in done:
                stack.append((maker[name], False))
    return order


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """Return the graph of an ONNX file: opset 7 to 21, one image input, one output.

    Raises
    ------
    ValueError
        If the file cannot be read or is not sound; one line that names the file and what is wrong.
    """
    path = os.fspath(path)
    model = _parse(path)
    folder = Path(path).parent
    graph = model.graph
    try:
        opset = _opset(model)
        if graph.sparse_initializer:
            raise ValueError("sparse tensors are not supported")
        constants = {tensor.name: _constant(tensor, folder) for tensor in graph.initializer}
        nodes = []
        for node in graph.node:
            value = _constant_node(node, folder) if node.op_type == "Constant" else None
            if value is None:
                nodes.append(node)
            else:
                constants[node.output[0]] = value
        name, kind, shape = _input(graph, constants)
        outputs = [value.name for value in graph.output]
        if len(outputs) != 1:
            raise ValueError(
                f"one output is needed, not {len(outputs)} ({', '.join(outputs) or 'none'})"
            )
        nodes = _sorted(nodes, {name, *constants}, outputs[0])
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    uses = Counter(source for node in nodes for source in node.input)
    uses[outputs[0]] += 1
    return Graph(
        path=path,
        nodes=nodes,
        constants=constants,
        input=name,
        input_type=kind,
        output=outputs[0],
        shape=shape,
        uses=uses,
        opset=opset,
        producer=model.producer_name,
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )
