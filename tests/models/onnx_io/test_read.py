"""Damaged, malicious and impossible ONNX files: one clear line each, before any work."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from penstock.models.graph.import_check import ImportMismatch
from penstock.models.onnx_io.importer import load_float
from penstock.models.onnx_io.read import read_graph
from tests.support.onnx_graphs import Maker


def plain() -> Any:
    """Return a sound model: a convolution, ReLU, a fully connected layer."""
    maker = Maker([1, 3, 8, 8])
    conv = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    flat = maker.add("Flatten", conv)
    return maker.model(maker.add("Gemm", flat, maker.random(5, 144), transB=1))


def claims(**changes: Any) -> Callable[[Any], None]:
    """Return a change of the first weight."""

    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        for name, value in changes.items():
            if name == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            else:
                setattr(tensor, name, value)

    return change


def external(location: str, offset: str = "0", length: str = "432") -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=value)

    return change


def node(index: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        found = model.graph.node[index]
        for name, value in changes.items():
            if name in ("input", "output"):
                del getattr(found, name)[:]
                getattr(found, name).extend(value)
            else:
                setattr(found, name, value)

    return change


def add_node(*arguments: Any, **settings: Any) -> Callable[[Any], None]:
    return lambda model: model.graph.node.append(helper.make_node(*arguments, **settings))


def input_shape(*sizes: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, sizes):
            dim.dim_value = size

    return change


def opset(version: int, domain: str = "") -> Callable[[Any], None]:
    def change(model: Any) -> None:
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid(domain, version))

    return change


def big_expand(model: Any) -> None:
    """A constant of 12 GB from a few bytes."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [60000, 50000])
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["huge"]))
    node(4, input=["t2", "huge"])(model)


def long_chain(model: Any) -> None:
    """Deeper than Python's stack."""
    for index in range(5000):
        name = f"x{index}"
        source = f"x{index - 1}" if index else "t3"
        model.graph.node.append(helper.make_node("Identity", [source], [name]))
    model.graph.output[0].name = "x4999"
    model.graph.node.append(helper.make_node("Sigmoid", ["x4999"], ["end"], name="last"))
    model.graph.output[0].name = "end"


def two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def sparse(model: Any) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))


def no_output(model: Any) -> None:
    del model.graph.output[:]


BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "claims 10 GB": (claims(dims=[50000, 50000]), r"tensor c0: its shape .* 10\.0 GB, but there"),
    "claims more than there are atoms": (claims(dims=[1 << 62] * 4), "tensor c0: its shape"),
    "too few values": (claims(raw_data=b"abcd"), "432 bytes, but there are 4 bytes"),
    "a negative size": (claims(dims=[-4, 3, 3, 3]), r"its shape \[-4, 3, 3, 3\] is not one"),
    "strings": (claims(data_type=TensorProto.STRING), "tensor c0: values of type STRING"),
    "an unknown type": (claims(data_type=99), "tensor c0: values of type 99"),
    "doubles that are half as many": (claims(data_type=TensorProto.DOUBLE), "864 bytes, but"),
    "integers as weights": (claims(data_type=TensorProto.INT32), "4-D floats, not 4-D int32"),
    "a shape that does not fit": (claims(dims=[4, 9, 3, 1]), "weights for 9 input and 4 output"),
    "no external file": (external("weights.bin"), r"its external data weights\.bin is missing"),
    "external data outside": (external("../secret"), "'../secret' is outside the folder"),
    "external data at the root": (external("/etc/passwd"), "is outside the folder"),
    "external data that ends early": (external("short.bin"), "432 bytes, but there are 40 bytes"),
    "an offset beyond the end": (external("short.bin", "99"), "ends before its data begins"),
    "an offset that is no number": (external("short.bin", "x"), "has no valid place"),
    "a cycle": (node(0, input=["t1", "c0"]), "the graph has a cycle"),
    "a node that reads itself": (node(1, input=["t1"]), "Relu Relu_1: reads what it makes"),
    "a missing input": (node(1, input=["gone"]), "Relu Relu_1: reads gone, which nothing makes"),
    "a missing weight": (node(0, input=["data", "gone"]), "Conv Conv_0: reads gone"),
    "no inputs at all": (node(1, input=[]), r"Relu_1 \(an input is missing"),
    "two makers of one tensor": (node(1, output=["t0"]), "makes t0, which is there already"),
    "a maker of the input": (node(1, output=["data"]), "makes data, which is there already"),
    "an unmade output": (node(3, output=["other"]), "its output t3 is made by no node"),
    "an unknown node": (node(1, op_type="Mystery"), r"Mystery Relu_1 \(no such layer here\)"),
    "a foreign domain": (node(1, domain="ai.example"), r"Relu Relu_1 \(no such layer here\)"),
    "a loop": (node(1, op_type="Loop"), "Loop Relu_1"),
    "a constant of 12 GB": (big_expand, r"ConstantOfShape \S+ \(no such layer here\)"),
    "a very long chain": (long_chain, r"Sigmoid last \(no such layer here\)"),
    "an input of 10 GB": (input_shape(1, 3, 30000, 30000), "3x30000x30000 is too large"),
    "an input without a size": (input_shape(1, 3, 0, 8), "with C, H and W fixed"),
    "two inputs": (two_inputs, r"one input is needed, not 2 \(data, mask\)"),
    "no output": (no_output, r"one output is needed, not 0 \(none\)"),
    "sparse weights": (sparse, "sparse tensors are not supported"),
    "an old opset": (opset(6), "opset 6; supported are 7 to 21"),
    "no opset": (opset(1, "com.example"), "opset missing; supported are 7 to 21"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path: Path, name: str) -> None:
    change, message = BAD[name]
    model = plain()
    change(model)
    (tmp_path / "short.bin").write_bytes(bytes(40))
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message) as error:
        load_float(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    # In kB: nothing large was allocated.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    data = plain().SerializeToString()
    path = tmp_path / "bad.onnx"
    step = max(1, len(data) // 40)
    for content in (b"", b"\x00" * 50, b"\xff" * 99, b"PK\x03\x04zip", b"<html></html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.onnx: ") as error:
            load_float(path)
        assert "\n" not in str(error.value)
    for length in range(1, len(data) - 1, step):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"bad\.onnx: "):
            load_float(path)
    with pytest.raises(ValueError, match="is a directory"):
        load_float(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        load_float(tmp_path / "absent.onnx")


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    data = np.frombuffer(plain().SerializeToString(), np.uint8)
    # The weights themselves may hold anything: damage the rest.
    places = np.flatnonzero(rng.random(len(data)) < 0.05)
    path = tmp_path / "bad.onnx"
    messages = []
    for place in places[:150]:
        damaged = data.copy()
        damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        try:
            load_float(path)
        except (ValueError, ImportMismatch) as error:
            # A weight of 1e30 beside others is not what anyone computes alike.
            messages.append(str(error))
    assert messages
    assert all(message.startswith(f"{path}: ") for message in messages)


def test_external_data_is_read(tmp_path: Path) -> None:
    maker = Maker([1, 3, 8, 8])
    path = tmp_path / "net.onnx"
    model = maker.model(maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    want = onnx.numpy_helper.to_array(model.graph.initializer[0])
    onnx.save(model, path, save_as_external_data=True, location="net.bin", size_threshold=0)
    assert (tmp_path / "net.bin").stat().st_size >= 432
    graph = read_graph(path)
    np.testing.assert_array_equal(graph.constants["c0"], want)


def test_nodes_are_sorted_and_pruned(tmp_path: Path) -> None:
    model = plain()
    add_node("Mystery", ["t0"], ["unused"])(model)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert [n.op_type for n in read_graph(path).nodes] == ["Conv", "Relu", "Flatten", "Gemm"]
    assert [layer.name for layer in load_float(path).layers] == ["conv1", "fc2"]
