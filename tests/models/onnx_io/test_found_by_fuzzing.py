"""What random graphs found in the importer (`make fuzz-import`), each in a graph of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import GlobalAveragePool, QFc
from penstock.models.onnx_io.importer import load_quantised
from tests.models.onnx_io.test_float_nodes import agree, load
from tests.support.onnx_graphs import Maker, judge


@pytest.mark.parametrize("opset", [22, 23, 24])
def test_opsets_that_changed_types_only(tmp_path: Path, opset: int) -> None:
    maker = Maker([1, 3, 9, 8])
    conv = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    pool = maker.add("AveragePool", conv, kernel_shape=[2, 2], ceil_mode=1, strides=[2, 2])
    flat = maker.add("Flatten", maker.add("GlobalAveragePool", pool))
    path = maker.save(tmp_path / "a.onnx", maker.add("Gemm", flat, maker.random(4, 5)), opset=opset)
    agree(path, load(path))


@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
def test_ceil_mode_without_padding_by_name(tmp_path: Path, kind: str) -> None:
    maker = Maker([1, 3, 8, 9])
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "VALID", "ceil_mode": 1}
    path = maker.save(tmp_path / "a.onnx", maker.add(kind, "data", **window))
    agree(path, load(path))


def test_a_window_as_large_as_the_map_with_padding_is_no_global_average(tmp_path: Path) -> None:
    maker = Maker([1, 3, 2, 3])
    window = {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER"}
    path = maker.save(tmp_path / "a.onnx", maker.add("AveragePool", "data", **window))
    network = load(path)
    assert not isinstance(network.layers[0], GlobalAveragePool)
    agree(path, network)


@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
def test_automatic_padding_of_windows_with_gaps_is_refused(tmp_path: Path, kind: str) -> None:
    maker = Maker([1, 1, 1, 3])
    window = {"kernel_shape": [1, 1], "strides": [3, 3], "auto_pad": "SAME_UPPER"}
    path = maker.save(tmp_path / "a.onnx", maker.add(kind, "data", **window))
    with pytest.raises(ValueError, match=r"auto_pad SAME of windows of 1 with a stride of 3 on 3"):
        load(path)


@pytest.mark.parametrize("factor", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_sums_of_codes_as_they_are(tmp_path: Path, signed: bool, factor: bool) -> None:
    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    maker = Maker([1, 3, 2, 2])
    scale, zero = (
        maker.constant(np.float32(0.02)),
        maker.constant(np.array(5, "i1" if signed else "u1")),
    )
    weight = maker.constant(maker.rng.integers(-99, 99, (4, 3, 1, 1)).astype(np.int8))
    plain = [maker.constant(np.float32(0.01)), maker.constant(np.int8(0))]
    codes = maker.add("QLinearConv", "data", scale, zero, weight, *plain, scale, zero)
    matrix = maker.constant(maker.rng.integers(-99, 99, (16, 5)).astype(np.int8))
    out = maker.add("MatMulInteger", maker.add("Flatten", codes), matrix)
    if factor:
        out = maker.add("Cast", out, to=TensorProto.FLOAT)
        out = maker.add("Mul", out, maker.constant(np.float32(0.003)))
    made = TensorProto.FLOAT if factor else TensorProto.INT32
    path = maker.save(tmp_path / "a.onnx", out, kind=kind, out=made)
    network, _ = load_quantised(path)
    last = network.layers[-1]
    assert isinstance(last, QFc)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 3), np.uint8)
    given = (pixels.astype(np.int16) - 128).astype(np.int8) if signed else pixels
    got = run_quantised(network, pixels)[last.name].reshape(-1) * last.out_scale
    want = judge(path, given)
    # A code of the convolution may be one off: 99 units of a sum at most for each of 16 codes.
    unit = 0.003 if factor else 1
    np.testing.assert_allclose(got, want[0], atol=16 * 99 * unit / 4)


def test_a_readers_zero_point_is_not_the_inputs(tmp_path: Path) -> None:
    maker = Maker([1, 2, 1, 3])
    scale = maker.constant(np.float32(0.02))
    codes = maker.add("QuantizeLinear", "data", scale, maker.constant(np.uint8(100)))
    real = maker.add("DequantizeLinear", codes, scale, maker.constant(np.uint8(90)))
    last = maker.add("QuantizeLinear", real, maker.constant(np.float32(0.03)))
    path = maker.save(tmp_path / "a.onnx", last, out=TensorProto.UINT8)
    network, _ = load_quantised(path, mean=(127.0,) * 2, std=(64.0,) * 2)
    assert network.input.zero == 100


def test_sums_of_vectors_stay_vectors(tmp_path: Path) -> None:
    maker = Maker([1, 3, 2, 2])
    scale, zero = maker.constant(np.float32(0.02)), maker.constant(np.uint8(128))
    flat = maker.add("Flatten", maker.add("QuantizeLinear", "data", scale, zero))
    real = maker.add("DequantizeLinear", flat, scale, zero)

    def matrix(source: str, size: tuple[int, int]) -> str:
        weight = maker.constant(maker.rng.integers(-20, 20, size).astype(np.int8))
        return maker.add(
            "MatMul",
            source,
            maker.add("DequantizeLinear", weight, maker.constant(np.float32(0.01))),
        )

    first, second = (
        maker.add("DequantizeLinear", maker.add("QuantizeLinear", made, scale, zero), scale, zero)
        for made in (matrix(real, (12, 4)), matrix(real, (12, 4)))
    )
    total = maker.add("QuantizeLinear", maker.add("Add", first, second), scale, zero)
    real = maker.add("DequantizeLinear", total, scale, zero)
    network, _ = load_quantised(maker.save(tmp_path / "a.onnx", matrix(real, (4, 3))))
    assert network.check.largest <= 1


def test_scales_by_input_are_refused(tmp_path: Path) -> None:
    maker = Maker([1, 3, 4, 4])
    scale, zero = maker.constant(np.float32(0.02)), maker.constant(np.uint8(128))
    codes = maker.add("QuantizeLinear", "data", scale, zero)
    real = maker.add("DequantizeLinear", codes, scale, zero)
    weight = maker.constant(maker.rng.integers(-99, 99, (3, 3, 1, 1)).astype(np.int8))
    steps = maker.constant(np.array([0.01, 0.02, 0.03], np.float32))
    # Without an axis it is 1: that of the inputs.
    conv = maker.add("Conv", real, maker.add("DequantizeLinear", weight, steps))
    path = maker.save(
        tmp_path / "a.onnx",
        maker.add("QuantizeLinear", conv, scale, zero),
        out=TensorProto.UINT8,
    )
    with pytest.raises(ValueError, match="weights' scales along axis 1, not along the outputs"):
        load_quantised(path)


def test_what_the_last_layer_cannot_be_is_a_refusal(tmp_path: Path) -> None:
    maker = Maker([1, 3, 2, 2])
    scale, zero = maker.constant(np.float32(0.02)), maker.constant(np.uint8(128))
    codes = maker.add("QuantizeLinear", "data", scale, zero)
    real = maker.add("DequantizeLinear", codes, scale, zero)
    weight = maker.constant(np.ones((2, 6), np.int8))
    matrix = maker.add("DequantizeLinear", weight, maker.constant(np.float32(0.01)))
    path = maker.save(tmp_path / "a.onnx", maker.add("MatMul", real, matrix))
    with pytest.raises(ValueError, match=r"unsupported: MatMul MatMul_3 \(weights \(6, 2\) on an"):
        load_quantised(path)


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "reason"),
    [
        ("LRN", [], {}, "its attribute size is missing"),
        ("LRN", [], {"size": 3, "alpha": float("nan")}, "alpha nan"),
        ("Add", [np.ones((1, 1, 3, 1, 1), "f4")], {}, r"a constant of shape \(1, 1, 3, 1, 1\)"),
        ("BatchNormalization", [np.ones(n, "f4") for n in (3, 3, 2, 3)], {}, "parameters of"),
        ("BatchNormalization", [np.full(3, n, "f4") for n in (1, 0, 0, -1)], {}, "a variance and"),
        ("Conv", [np.full((1, 3, 1, 1), np.inf, "f4")], {}, "are not finite numbers"),
    ],
)
def test_reasons_are_in_words(
    tmp_path: Path, kind: str, inputs: list[Any], attributes: dict[str, Any], reason: str
) -> None:
    maker = Maker([1, 3, 4, 4])
    out = maker.add(kind, "data", *[maker.constant(array) for array in inputs], **attributes)
    path = maker.save(tmp_path / "a.onnx", out)
    with pytest.raises(ValueError, match=rf"unsupported: {kind} {kind}_0 \(.*{reason}"):
        load(path)


def test_a_bias_far_below_the_products_unit_is_refused(tmp_path: Path) -> None:
    maker = Maker([1, 1, 2, 2])
    scale, zero = maker.constant(np.float32(100)), maker.constant(np.uint8(128))
    real = maker.add(
        "DequantizeLinear", maker.add("QuantizeLinear", "data", scale, zero), scale, zero
    )
    weight = maker.constant(np.ones((1, 1, 1, 1), np.int8))
    weight = maker.add("DequantizeLinear", weight, maker.constant(np.float32(0.0025)))
    conv = maker.add("Conv", real, weight, maker.constant(np.array([0.1], np.float32)))
    out = maker.add("QuantizeLinear", conv, maker.constant(np.float32(0.02)))
    path = maker.save(tmp_path / "a.onnx", out, out=TensorProto.UINT8)
    with pytest.raises(ValueError, match=r"the bias of channel 0: .* too coarse for it"):
        load_quantised(path)
