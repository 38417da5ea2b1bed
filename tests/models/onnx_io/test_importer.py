"""Float ONNX files: the imported network computes the same as onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.models.golden.ops import run_float, softmax
from penstock.models.graph.graph import Conv, Lrn, MaxPool, infer_shapes
from penstock.models.onnx_io.importer import load_float

Array = NDArray[Any]


class Model:
    """Builder of a sequential graph."""

    def __init__(self, shape: list[int | str], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shape = shape
        self.last = "data"

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def random(self, *shape: int) -> str:
        return self.constant(
            (self.rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype("f4")
        )

    def add(self, kind: str, *constants: str, **attributes: Any) -> Model:
        output = f"t{len(self.nodes)}"
        node = helper.make_node(kind, [self.last, *constants], [output], **attributes)
        node.name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(node)
        self.last = output
        return self

    def save(
        self, path: Path, opset: int = 13, *, inputs: bool = False, producer: str = ""
    ) -> Path:
        data = helper.make_tensor_value_info("data", TensorProto.FLOAT, self.shape)
        extra = [
            helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in self.constants
        ]
        graph = helper.make_graph(
            self.nodes,
            "test",
            [data, *(extra if inputs else [])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], producer_name=producer
        )
        model.ir_version = 3 if inputs else 8
        onnx.save(model, path)
        return path


def alexnet_like(opset: int) -> Model:
    """Return a graph with every kind of node, in the form the opset wants."""
    model = Model(["n", 3, 33, 31])
    model.add("Conv", model.random(8, 3, 5, 5), model.random(8), strides=[2, 2], pads=[1, 0, 2, 1])
    model.add("Relu").add("LRN", size=5, alpha=0.01, beta=0.6, bias=2.0)
    model.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    model.add("Identity")
    model.add("Conv", model.random(6, 4, 3, 3), group=2, pads=[1, 1, 1, 1])
    # A pool before the ReLU, which commutes with it.
    model.add("MaxPool", kernel_shape=[2, 2], strides=[1, 1]).add("Relu").add("Relu")
    model.add("Flatten")
    model.add("Gemm", model.random(10, 6 * 7 * 6), model.random(10), transB=1, alpha=0.5, beta=2.0)
    model.add("Relu").add("Dropout", **({"ratio": 0.5} if opset < 12 else {}))
    model.add("Reshape", model.constant(np.array([1, -1])))
    model.add("MatMul", model.random(10, 7)).add("Add", model.random(1, 7)).add("Relu")
    # The bias is optional since opset 11.
    model.add("Gemm", model.random(7, 4), *([model.random(4)] if opset < 11 else []))
    return model


def judge(path: Path, pixels: Array, mean: Array, std: Array) -> Array:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    data = ((pixels - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
    return np.asarray(session.run(None, {"data": np.ascontiguousarray(data)})[0])


@pytest.mark.parametrize("opset", [7, 8, 11, 13, 17, 21])
@pytest.mark.parametrize("inputs", [False, True])
def test_a_whole_network_equals_onnxruntime(tmp_path: Path, opset: int, inputs: bool) -> None:
    path = alexnet_like(opset).save(tmp_path / "small.onnx", opset, inputs=inputs)
    network = load_float(path, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))
    names = [layer.name for layer in network.layers]
    assert names == ["conv1", "norm1", "pool1", "conv2", "pool2", "fc3", "fc4", "fc5"]
    assert (network.name, network.trained, network.source) == ("small", True, str(path))
    assert network.labels == ("class 0", "class 1", "class 2", "class 3")
    pixels = np.random.default_rng(opset).integers(0, 256, network.input.shape)
    want = judge(path, pixels, np.array(network.input.mean), np.array(network.input.std))
    got = run_float(network, pixels)["fc5"].reshape(1, -1)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    norm = network.layer("norm1")
    assert isinstance(norm, Lrn)
    assert (norm.alpha, norm.beta, norm.k, norm.size) == (0.01, 0.6, 2.0, 5)


@pytest.mark.parametrize("size", range(5, 13))
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("pad", [0, 1])
def test_ceil_mode_has_onnxruntimes_shape(tmp_path: Path, size: int, kernel: int, pad: int) -> None:
    model = Model([1, 3, size, size])
    model.add("MaxPool", kernel_shape=[kernel] * 2, strides=[2, 2], pads=[pad] * 4, ceil_mode=1)
    path = model.save(tmp_path / "pool.onnx")
    network = load_float(path, mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = np.random.default_rng(size).integers(0, 256, network.input.shape)
    want = judge(path, pixels, np.zeros(3), np.ones(3))[0].transpose(1, 2, 0)
    assert infer_shapes(network)["pool0"] == want.shape
    np.testing.assert_array_equal(run_float(network, pixels)["pool0"], want)


@pytest.mark.parametrize("whole", [True, False])
def test_global_averages_equal_onnxruntime(tmp_path: Path, whole: bool) -> None:
    model = Model([1, 3, 9, 7])
    model.add("Conv", model.random(5, 3, 2, 2)).add("Relu")
    if whole:
        model.add("AveragePool", kernel_shape=[8, 6])
    else:
        model.add("GlobalAveragePool")
    model.add("Flatten").add("Softmax")
    path = model.save(tmp_path / "mean.onnx")
    network = load_float(path, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert [layer.name for layer in network.layers] == ["conv1", "pool1"]
    assert len(network.labels) == 5
    pixels = np.random.default_rng(3).integers(0, 256, network.input.shape)
    want = judge(path, pixels, np.zeros(3), np.ones(3))
    got = softmax(run_float(network, pixels)["pool1"].reshape(1, -1))
    np.testing.assert_allclose(got, want.reshape(1, -1), rtol=1e-4, atol=1e-6)


def test_names_and_preparation(tmp_path: Path) -> None:
    model = Model([1, 3, 227, 227])
    model.add("Conv", model.random(2, 3, 11, 11), strides=[16, 16]).add("Relu")
    model.add("MaxPool", kernel_shape=[3, 3]).add("MaxPool", kernel_shape=[2, 2])
    model.add("AveragePool", kernel_shape=[1, 1], strides=[1, 1])
    model.add("Softmax", axis=1)
    network = load_float(model.save(tmp_path / "a.onnx"))
    assert [layer.name for layer in network.layers] == ["conv1", "pool1", "pool1b"]
    first = network.layers[0]
    assert isinstance(first, Conv)
    assert first.relu
    assert not first.bias.any()
    assert isinstance(network.layers[2], MaxPool)
    assert (network.input.order, network.input.resize) == ("BGR", 256)
    assert network.input.mean == (104.0, 117.0, 123.0)
    assert network.labels == ()
    torch = load_float(model.save(tmp_path / "a.onnx", producer="pytorch"), resize=300).input
    assert (torch.order, torch.resize) == ("RGB", 300)
    assert torch.std == (58.395, 57.12, 57.375)
    grey = Model([1, 1, 28, 28])
    grey.add("Conv", grey.random(2, 1, 3, 3))
    spec = load_float(grey.save(tmp_path / "g.onnx")).input
    assert (spec.order, spec.std, spec.resize) == ("L", (255.0,), 32)


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    model = Model([1, 3, 16, 16])
    model.add("Conv", model.random(4, 3, 3, 3), dilations=[2, 2], name="first").add("Sigmoid")
    model.add("MaxPool", kernel_shape=[3, 2]).add("GlobalMaxPool")
    model.add("Conv", model.random(4, 4, 3, 3), auto_pad="SAME_UPPER")
    model.add("Softmax").add("Relu")
    with pytest.raises(ValueError, match="unsupported") as error:
        load_float(model.save(tmp_path / "a.onnx"))
    assert str(error.value) == (
        f"{tmp_path / 'a.onnx'}: unsupported: Conv Conv_0 (dilations [2, 2]); "
        "Sigmoid Sigmoid_1 (no such layer here); "
        "MaxPool MaxPool_2 (a window of [3, 2] with strides [1, 1] is not square); "
        "GlobalMaxPool GlobalMaxPool_3 (no such layer here); "
        "Conv Conv_4 (auto_pad SAME_UPPER); Relu Relu_6 (comes after Softmax)"
    )


@pytest.mark.parametrize(
    ("kind", "constants", "attributes", "reason"),
    [
        ("Relu", [], {}, "it does not follow Conv"),
        ("Add", [(4, 1, 1)], {}, r"a constant of shape \(4, 1, 1\) on the input"),
        ("Mul", [np.array(-1, "f4")], {}, "a factor of the input that is not positive"),
        ("Reshape", [np.array([1, 3, -1])], {}, "only to a vector"),
        ("Reshape", [np.array([1, 100])], {}, "only to a vector"),
        ("Flatten", [], {"axis": 2}, "axis 2"),
        ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [0, 0]}, r"strides \[0, 0\]"),
        ("MaxPool", [], {"kernel_shape": [2, 2], "pads": [-1] * 4}, r"pads \[-1, -1"),
        ("MaxPool", [], {}, "its attribute kernel_shape is missing"),
        ("AveragePool", [], {"kernel_shape": [0, 0]}, "an empty window"),
        ("Concat", [], {"axis": 2}, "along axis 2: only along the channels"),
        ("Pad", [], {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "reflect"}, "mode reflect"),
        ("Clip", [np.array(0, "f4"), np.array(6, "f4")], {}, r"to 0 \.\. 6: only to 0 and above"),
        ("Conv", [(4, 3, 3, 3)], {"pads": [1 << 40] * 4}, "is too large"),
        ("Gemm", [(5, 5)], {"transA": 1}, "transA"),
        ("Gemm", [(5, 5)], {}, r"weights for 5 inputs on an input of \(3, 16, 16\)"),
        ("Conv", [(4, 3, 20, 20)], {}, "kernel 20x20 is larger than the padded input 16x16"),
        ("Conv", [(4, 3, 3)], {}, "its weight must be 4-D floats, not 3-D float32"),
        ("Conv", [np.zeros((4, 3, 3, 3), np.int8)], {}, "4-D floats, not 4-D int8"),
        ("LeakyRelu", [], {}, "no such layer here"),
        ("Window", [], {}, "no such layer here"),
    ],
)
def test_reasons(
    tmp_path: Path,
    kind: str,
    constants: list[Any],
    attributes: dict[str, Any],
    reason: str,
) -> None:
    model = Model([1, 3, 16, 16])
    arrays = [c if isinstance(c, np.ndarray) else np.ones(c, np.float32) for c in constants]
    model.add(kind, *(model.constant(array) for array in arrays), **attributes)
    with pytest.raises(ValueError, match=reason) as error:
        load_float(model.save(tmp_path / "a.onnx"))
    assert f"{kind} {kind}_0" in str(error.value)


def test_wrong_biases_are_refused(tmp_path: Path) -> None:
    for shape in [(4,), (1, 4, 14), (4, 14, 14)]:
        model = Model([1, 3, 16, 16])
        model.add("Conv", model.random(4, 3, 3, 3))
        model.add("Add", model.constant(np.ones(shape, np.float32)))
        with pytest.raises(ValueError, match="is not a bias"):
            load_float(model.save(tmp_path / "a.onnx"))
    model = Model([1, 3, 16, 16])
    model.add("Conv", model.random(4, 3, 3, 3))
    model.add("Add", model.constant(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)))
    network = load_float(model.save(tmp_path / "a.onnx"))
    assert isinstance(network.layers[0], Conv)
    np.testing.assert_array_equal(network.layers[0].bias, [0, 1, 2, 3])


def test_branches_and_inputs(tmp_path: Path) -> None:
    model = Model([1, 3, 16, 16])
    model.add("Conv", model.random(4, 3, 3, 3)).add("Relu")
    model.nodes.append(helper.make_node("Sum", ["t0", "t1"], ["t2"], name="join"))
    model.last = "t2"
    with pytest.raises(ValueError, match=r"Relu_1 \(what it rectifies is read by other nodes too"):
        load_float(model.save(tmp_path / "a.onnx"))
    # Nodes that the output does not need are left out.
    model.last = "t0"
    assert list(infer_shapes(load_float(model.save(tmp_path / "a.onnx")))) == ["input", "conv1"]
    for shape in (["n", 3, "h", "w"], [1, 3, 16], [1, "c", 16, 16]):
        model = Model(shape)
        model.add("Relu")
        with pytest.raises(ValueError, match="with C, H and W fixed, not"):
            load_float(model.save(tmp_path / "a.onnx"))


def test_wrong_opsets_and_files_are_refused(tmp_path: Path) -> None:
    model = Model([1, 3, 16, 16])
    model.add("Conv", model.random(4, 3, 3, 3))
    for opset in (6, 25):
        path = model.save(tmp_path / "a.onnx", opset)
        with pytest.raises(ValueError, match=f"opset {opset}; supported are 7 to 24"):
            load_float(path)
    data = model.save(tmp_path / "a.onnx").read_bytes()
    for content in (b"", b"\xff" * 99, data[: len(data) // 2], b"<html>not found</html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.onnx: (not|opset|input)") as error:
            load_float(path)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no such file"):
        load_float(tmp_path / "absent.onnx")


def test_weights_that_do_not_fit_name_the_node(tmp_path: Path) -> None:
    model = Model([1, 3, 16, 16])
    model.add("Conv", model.random(4, 5, 3, 3))
    with pytest.raises(ValueError, match=r"Conv Conv_0 \(weights for 5 input and 4 output"):
        load_float(model.save(tmp_path / "a.onnx"))
