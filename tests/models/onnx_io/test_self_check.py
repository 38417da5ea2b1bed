"""What is imported is compared with the file: a wrong layer is found, named and placed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from penstock.models.graph import store
from penstock.models.graph.graph import Network
from penstock.models.graph.import_check import UNVERIFIED, ImportMismatch
from penstock.models.onnx_export.deploy_export import Ends, deploy
from penstock.models.onnx_io import importer
from penstock.models.onnx_io.importer import Comparison, load_float, load_quantised
from penstock.models.onnx_io.written_check import check_written
from penstock.models.quant.quantize import quantise
from tests.support.onnx_graphs import Maker

PLAIN: dict[str, Any] = {"order": "RGB", "mean": (0.0,) * 3, "std": (1.0,) * 3}


def two_convolutions(path: Path) -> Path:
    maker = Maker([1, 3, 8, 8])
    first = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    pooled = maker.add("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    return maker.save(path, maker.add("Conv", pooled, maker.random(5, 4, 1, 1)))


def test_the_result_is_kept_with_the_network(tmp_path: Path) -> None:
    seen: list[str] = []
    pictures = np.full((1, 8, 8, 3), 7, np.uint8)
    comparison = Comparison(pictures=lambda spec: list(pictures), progress=seen.append)
    network = load_float(two_convolutions(tmp_path / "a.onnx"), comparison=comparison, **PLAIN)
    check = network.check
    assert check is not None
    assert check.judge.startswith("onnxruntime ")
    # The input, three layers, and the file's output.
    assert (check.inputs, check.maps, check.unit) == (3, 4, "relative")
    assert check.largest < 1e-5
    assert seen == [f"comparing with the file, input {i} of 3" for i in (1, 2, 3)]
    store.save(network, tmp_path / "a.net")
    assert store.load(tmp_path / "a.net").check == check
    assert "4 maps compared with onnxruntime" in str(check)


def test_it_can_be_left_out_and_that_is_kept_too(tmp_path: Path) -> None:
    network = load_float(two_convolutions(tmp_path / "a.onnx"), comparison=None, **PLAIN)
    assert network.check == UNVERIFIED
    store.save(network, tmp_path / "a.net")
    assert store.load(tmp_path / "a.net").check == UNVERIFIED
    assert str(UNVERIFIED) == "not compared with the file (--no-verify)"


def test_a_wrong_layer_is_found_named_and_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = two_convolutions(tmp_path / "a.onnx")

    def wrong(network: Network) -> Network:
        first, *rest = network.layers
        weight = first.weight.copy()
        weight[2, 1, 0, 0] += 0.5
        return replace(network, layers=(replace(first, weight=weight), *rest))

    checked = importer._checked
    monkeypatch.setattr(importer, "_checked", lambda network: wrong(checked(network)))
    with pytest.raises(ImportMismatch) as found:
        load_float(path, **PLAIN)
    text = str(found.value)
    assert text.startswith(f"{path}: what was imported is not what onnxruntime ")
    # The first map that differs, which ReLU makes, not those behind it.
    assert "Relu Relu_1 differs in " in text
    assert "channel 2: " in text
    assert load_float(path, comparison=None, **PLAIN).check == UNVERIFIED


def test_a_shape_that_was_read_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = two_convolutions(tmp_path / "a.onnx")
    checked = importer._checked

    def wrong(network: Network) -> Network:
        first, pool, last = network.layers
        return checked(replace(network, layers=(first, replace(pool, stride=1), last)))

    monkeypatch.setattr(importer, "_checked", wrong)
    with pytest.raises(
        ImportMismatch, match=r"MaxPool MaxPool_2 is 1x4x3x3, not 4 channels of 5x5"
    ):
        load_float(path, **PLAIN)


def test_a_file_that_the_judge_cannot_run(tmp_path: Path) -> None:
    maker = Maker([1, 3, 8, 8])
    conv = maker.add("Conv", "data", maker.random(4, 3, 3, 3))
    path = maker.save(tmp_path / "a.onnx", maker.add("Relu", conv), out=TensorProto.INT8)
    with pytest.raises(ImportMismatch, match=r"the outside judge cannot run it: .*--no-verify"):
        load_float(path, **PLAIN)


def codes(maker: Maker, source: str, scale: float, zero: Any) -> str:
    return maker.add(
        "QuantizeLinear", source, maker.constant(np.float32(scale)), maker.constant(zero)
    )


def real(maker: Maker, source: str, scale: Any, zero: Any = None, **attributes: Any) -> str:
    inputs = [source, maker.constant(np.asarray(scale, "f4"))]
    if zero is not None:
        inputs.append(maker.constant(zero))
    return maker.add("DequantizeLinear", *inputs, **attributes)


def weights(maker: Maker, *shape: int) -> str:
    values = maker.rng.integers(-127, 128, shape).astype(np.int8)
    return real(maker, maker.constant(values), 1 / 128, np.int8(0))


def quantised(maker: Maker, path: Path, output: str, **settings: Any) -> Network:
    """The network of a file, which is within a step of onnxruntime in every map."""
    network, _ = load_quantised(maker.save(path, output, **settings), **PLAIN)
    assert network.check is not None
    assert network.check.unit == "steps"
    assert network.check.largest <= 1
    return network


def test_one_map_quantised_in_two_ways(tmp_path: Path) -> None:
    """The readers of a residual branch may each have a scale of their own."""
    maker = Maker([1, 3, 8, 8])
    zero = np.uint8(0)
    data = real(maker, codes(maker, "data", 1.0, zero), 1.0, zero)
    made = maker.add("Relu", maker.add("Conv", data, weights(maker, 4, 3, 1, 1)))
    first = real(maker, codes(maker, made, 1.5, zero), 1.5, zero)
    second = real(maker, codes(maker, made, 4.0, zero), 4.0, zero)
    same = real(maker, codes(maker, made, 1.5, zero), 1.5, zero)
    other = maker.add("Conv", first, weights(maker, 4, 4, 1, 1))
    other = real(maker, codes(maker, other, 3.0, np.uint8(128)), 3.0, np.uint8(128))
    total = codes(maker, maker.add("Add", other, second), 6.0, np.uint8(100))
    total = maker.add("Add", real(maker, total, 6.0, np.uint8(100)), same)
    end = real(maker, codes(maker, total, 8.0, np.uint8(90)), 8.0, np.uint8(90))
    network = quantised(maker, tmp_path / "a.onnx", end)
    assert [layer.name for layer in network.layers] == ["conv1", "conv2", "conv1b", "add2", "add2b"]
    assert network.layers[-1].inputs == ("add2", "conv1")


@pytest.mark.parametrize("kind", ["attribute", "input"])
def test_int8_without_a_zero_point(tmp_path: Path, kind: str) -> None:
    given = kind == "input"
    maker = Maker([1, 3, 8, 8])
    data = "data"
    if not given:
        scale = maker.constant(np.float32(2))
        data = maker.add("QuantizeLinear", "data", scale, output_dtype=TensorProto.INT8)
    made = maker.add("Conv", real(maker, data, 2.0), weights(maker, 4, 3, 3, 3))
    end = real(maker, codes(maker, made, 8.0, np.int8(-3)), 8.0, np.int8(-3))
    types: dict[str, Any] = {"kind": TensorProto.INT8} if given else {}
    network = quantised(maker, tmp_path / "a.onnx", end, opset=21, **types)
    assert network.layers[0].in_zero == 0  # no padding
    assert network.zeros == {"conv1": 125}


@pytest.mark.parametrize("columns", [16, 5])
@pytest.mark.parametrize("kind", ["QLinearMatMul", "QGemm", "QDQ"])
def test_a_zero_point_for_each_column(tmp_path: Path, columns: int, kind: str) -> None:
    maker = Maker([1, 3, 2, 2])
    zero = np.uint8(0)
    scale = maker.constant(np.float32(1))
    data = codes(maker, "data", 1.0, zero)
    flat = maker.add("Flatten", data)
    values = maker.constant(maker.rng.integers(0, 120, (12, columns)).astype(np.uint8))
    steps = maker.rng.uniform(0.01, 0.02, columns).astype("f4")
    zeros = maker.rng.integers(0, 120, columns).astype(np.uint8)
    given = maker.constant(zero)
    if kind == "QDQ":
        matrix = real(maker, values, steps, zeros, axis=1)
        made = codes(maker, maker.add("MatMul", real(maker, flat, 1.0, zero), matrix), 4.0, zero)
    else:
        inputs = [flat, scale, given, values, maker.constant(steps), maker.constant(zeros)]
        inputs += [""] if kind == "QGemm" else []
        inputs += [maker.constant(np.float32(4)), given]
        domain = "com.microsoft" if kind == "QGemm" else ""
        made = maker.add(kind, *inputs, domain=domain)
    quantised(maker, tmp_path / "a.onnx", real(maker, made, 4.0, zero))


def test_weights_of_nine_bits(tmp_path: Path) -> None:
    """uint8 less their zero point: the map is read twice."""
    maker = Maker([1, 3, 6, 6])
    zero = np.uint8(3)
    data = real(maker, codes(maker, "data", 1.0, zero), 1.0, zero)
    values = maker.rng.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    matrix = real(maker, maker.constant(values), 1 / 64, np.uint8(100))
    made = maker.add("Conv", data, matrix, pads=[1, 1, 1, 1])
    end = real(maker, codes(maker, made, 16.0, np.uint8(128)), 16.0, np.uint8(128))
    network = quantised(maker, tmp_path / "a.onnx", end)
    assert [type(layer).__name__ for layer in network.layers] == ["Concat", "QConv"]


def test_a_bias_that_fills_the_accumulator(tmp_path: Path) -> None:
    """A channel of nearly zero weights has so fine a unit."""
    maker = Maker([1, 3, 6, 6])
    zero = np.uint8(0)
    data = real(maker, codes(maker, "data", 1.0, zero), 1.0, zero)
    values = maker.rng.integers(-127, 128, (2, 3, 1, 1)).astype(np.int8)
    steps = np.array([1 / 64, 1e-8], "f4")
    matrix = real(maker, maker.constant(values), steps, np.zeros(2, np.int8), axis=0)
    bias = real(maker, maker.constant(np.array([64, 2**31 - 1], np.int32)), steps, axis=0)
    made = maker.add("Conv", data, matrix, bias)
    end = real(maker, codes(maker, made, 4.0, zero), 4.0, zero)
    quantised(maker, tmp_path / "a.onnx", end)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e30])
def test_a_bias_that_is_no_number(tmp_path: Path, value: float) -> None:
    maker = Maker([1, 3, 6, 6])
    zero = np.uint8(0)
    data = real(maker, codes(maker, "data", 1.0, zero), 1.0, zero)
    bias = maker.constant(np.array([0, value], "f4"))
    made = maker.add("Conv", data, weights(maker, 2, 3, 1, 1), bias)
    path = maker.save(tmp_path / "a.onnx", real(maker, codes(maker, made, 4.0, zero), 4.0, zero))
    with pytest.raises(ValueError, match=r"unsupported: Conv Conv_\d+ \(a bias of .* in channel 1"):
        load_quantised(path, **PLAIN)


@pytest.mark.parametrize("flat", [False, True])
def test_constants_added_to_quantised_maps(tmp_path: Path, flat: bool) -> None:
    maker = Maker([1, 3, 4, 4])
    zero, mid = np.uint8(0), np.uint8(128)
    data = codes(maker, "data", 1.0, zero)
    shape = (5, 48) if flat else (5, 3, 1, 1)
    source = maker.add("Flatten", data) if flat else data
    matrix = maker.rng.integers(-127, 128, shape[::-1] if flat else shape).astype(np.int8)
    held = real(maker, maker.constant(matrix), 1 / 256, np.int8(0))
    made = maker.add("MatMul" if flat else "Conv", real(maker, source, 1.0, zero), held)
    vector = maker.rng.integers(0, 256, (5,) if flat else (1, 5, 1, 1)).astype(np.uint8)
    # Once before it is quantised, as a bias, and once after.
    made = maker.add("Add", made, real(maker, maker.constant(vector), 0.25, mid))
    made = real(maker, codes(maker, made, 4.0, mid), 4.0, mid)
    made = maker.add("Add", real(maker, maker.constant(vector), 0.5, mid), made)
    network = quantised(
        maker, tmp_path / "a.onnx", real(maker, codes(maker, made, 5.0, mid), 5.0, mid)
    )
    assert len(network.layers) == 2


def written(tmp_path: Path, maker: Maker, output: str) -> tuple[Path, Network, Ends, Any]:
    path = maker.save(tmp_path / "float.onnx", output)
    network, ends = importer.load_float_ends(path, **PLAIN)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    made = quantise(network, pixels)
    return path, made, ends, deploy(made, ends)


@pytest.mark.parametrize("tail", ["map", "flat", "mean", "softmax", "padded"])
def test_what_is_written_has_the_float_file_s_ends(tmp_path: Path, tail: str) -> None:
    maker = Maker([1, 3, 8, 8])
    made = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    if tail == "flat":
        made = maker.add("Flatten", made)
    elif tail == "mean":
        made = maker.add("ReduceMean", made, axes=[2, 3], keepdims=0)
    elif tail == "softmax":
        made = maker.add("Softmax", maker.add("Flatten", made))
    elif tail == "padded":
        # onnxruntime takes no window of padding only in a MaxPool.
        pads = maker.constant(np.array([0, 0, 0, 0, 0, 0, 2, 2]))
        padded = maker.add("Pad", made, pads)
        made = maker.add("MaxPool", padded, kernel_shape=[2, 2], strides=[2, 2])
    path, network, ends, model = written(tmp_path, maker, made)
    check = check_written(model, network, ends.spec, path)
    assert check.largest == 0
    assert check.maps == len(network.layers) + 2
    with pytest.raises(ImportMismatch, match=r"its output is .*, that of the quantised file "):
        check_written(deploy(network, replace(ends, output="other")), network, ends.spec, path)


def test_what_is_written_wrongly_is_found(tmp_path: Path) -> None:
    maker = Maker([1, 3, 8, 8])
    made = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    path, network, ends, _ = written(tmp_path, maker, made)
    layer = network.layers[0]
    off = replace(network, layers=(replace(layer, bias=layer.bias + 4000),))
    with pytest.raises(ImportMismatch, match="QLinearConv conv1 differs in "):
        check_written(deploy(off, ends), network, ends.spec, path)
