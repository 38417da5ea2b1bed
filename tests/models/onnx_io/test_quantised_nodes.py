"""Networks that onnxruntime quantised, read with their own scales, against onnxruntime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, shape_inference
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from penstock.models.golden.ops import input_codes, normalise, run_layer, run_quantised
from penstock.models.graph.graph import INPUT, Network, QFc
from penstock.models.onnx_io.importer import load_float, load_quantised
from tests.support.branchnet import branch_images, branch_net
from tests.support.onnx_graphs import Maker, float_model

Array = NDArray[Any]


class Reader(CalibrationDataReader):
    """Gives normalised images to onnxruntime's quantiser."""

    def __init__(self, network: Network, images: Array) -> None:
        self._batches: Iterator[dict[str, Array]] = iter(
            [{"data": normalise(network.input, i).transpose(2, 0, 1)[None]} for i in images]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def quantised_file(path: Path, network: Network, images: Array, **settings: Any) -> Path:
    """Return the file that onnxruntime's quantiser writes for a float network."""
    floating = path.with_suffix(".float.onnx")
    onnx.save(float_model(network), floating)
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(floating, path, Reader(network, images), **settings)
    return path


def outside_maps(path: Path, tensors: dict[str, str], data: Array) -> dict[str, Array]:
    """Return onnxruntime's codes of each layer (height, width, channels), as int64."""
    model = onnx.load(path)
    del model.graph.output[:]
    for name in dict.fromkeys(tensors.values()):
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    # Tensors that are outputs may have no type of their own.
    model = shape_inference.infer_shapes(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    batch = np.ascontiguousarray(data.transpose(2, 0, 1))[None]
    found = dict(
        zip(dict.fromkeys(tensors.values()), session.run(None, {name: batch}), strict=True)
    )
    maps = {}
    for layer, tensor in tensors.items():
        value = found[tensor].astype(np.int64) + (128 if found[tensor].dtype == np.int8 else 0)
        maps[layer] = value.reshape(1, 1, -1) if value.ndim == 2 else value[0].transpose(1, 2, 0)
    return maps


def differences(network: Network, maps: dict[str, Array], codes: Array) -> tuple[int, int]:
    """Return how many codes differ from onnxruntime's, and of how many; by one step at most.

    Each layer's input is onnxruntime's output of the previous layers.
    """
    maps = {INPUT: codes.astype(np.int64), **maps}
    wrong = total = 0
    for layer in network.layers:
        got = run_layer(layer, *(maps[name].astype(np.uint8) for name in layer.inputs))
        if layer.name not in maps:
            maps[layer.name] = got
            continue
        difference = np.abs(got.astype(np.int64) - maps[layer.name].reshape(got.shape))
        # A rescaled map rounds once more than onnxruntime does in its concatenation.
        assert difference.max() <= 1, layer.name
        wrong += int((difference > 0).sum())
        total += difference.size
        maps[layer.name] = maps[layer.name].reshape(got.shape)
    return wrong, total


# onnxruntime itself has no QGemm of int8 maps.
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (QuantType.QUInt8, QuantFormat.QDQ),
        (QuantType.QInt8, QuantFormat.QDQ),
        (QuantType.QUInt8, QuantFormat.QOperator),
    ],
)
@pytest.mark.parametrize("per_channel", [True, False])
def test_networks_of_onnxruntimes_quantiser(
    tmp_path: Path, kind: QuantType, form: QuantFormat, per_channel: bool
) -> None:
    floating = branch_net()
    path = quantised_file(
        tmp_path / "net.onnx",
        floating,
        branch_images(),
        quant_format=form,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    spec = floating.input
    network, tensors = load_quantised(path, order=spec.order, mean=spec.mean, std=spec.std)
    assert {layer.name for layer in network.layers} >= set(tensors)
    wrong = total = 0
    for seed in range(3):
        pixels = branch_images(count=1, seed=seed)[0]
        codes = input_codes(network.input, pixels)
        maps = outside_maps(path, tensors, normalise(spec, pixels))
        assert len(maps) >= 19
        more, of = differences(network, maps, codes)
        wrong, total = wrong + more, total + of
        # From end to end.
        last = network.layers[-1]
        got = run_quantised(network, codes)[last.name].reshape(-1).astype(np.int64)
        assert np.abs(got - maps[last.name].reshape(-1)).max() <= 10
    print(f"{form.name} {kind.name}: {wrong} of {total} codes differ by one step")
    assert wrong / total < 0.004


def test_the_input_is_encoded_as_in_the_file(tmp_path: Path) -> None:
    floating = branch_net()
    path = quantised_file(tmp_path / "net.onnx", floating, branch_images())
    network, _ = load_quantised(path, mean=floating.input.mean)
    pixels = branch_images()[0]
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    data = np.ascontiguousarray(normalise(floating.input, pixels).transpose(2, 0, 1))[None]
    want = session.run(None, {"data": data})[0].reshape(-1)
    last = network.layers[-1]
    assert isinstance(last, QFc)
    zero = network.zeros.get(last.name, 0)
    got = run_quantised(network, input_codes(network.input, pixels))[last.name].reshape(-1)
    got = (got - float(zero)) * last.out_scale
    assert np.abs(got - want).max() <= 10.01 * last.out_scale[0]


def test_float_files_and_quantised_ones_are_told_apart(tmp_path: Path) -> None:
    floating = branch_net()
    path = quantised_file(tmp_path / "net.onnx", floating, branch_images())
    with pytest.raises(ValueError, match=r"QuantizeLinear \S+ \(no such layer here\)"):
        load_float(path)
    with pytest.raises(ValueError, match=r"Conv Conv_0 \(what it reads is not quantised\)"):
        load_quantised(tmp_path / "net.float.onnx")


class QMaker(Maker):
    """Nodes of the QOperator form."""

    def quantities(self, *values: tuple[float, int]) -> list[str]:
        names = []
        for scale, zero in values:
            names += [self.constant(np.float32(scale)), self.constant(np.uint8(zero))]
        return names

    def conv(self, source: str, codes: tuple[float, int], out: tuple[float, int]) -> str:
        weight = self.constant(self.rng.integers(-127, 128, (5, 3, 3, 3)).astype(np.int8))
        steps = self.constant(np.full(5, 0.01, np.float32))
        zero = self.constant(np.zeros(5, np.int8))
        inputs = [source, *self.quantities(codes), weight, steps, zero, *self.quantities(out)]
        return self.add("QLinearConv", *inputs)


def test_integers_as_input(tmp_path: Path) -> None:
    maker = QMaker([1, 3, 9, 9])
    out = maker.conv("data", (0.02, 117), (0.11, 3))
    path = maker.save(tmp_path / "a.onnx", out, kind=TensorProto.UINT8, out=TensorProto.UINT8)
    network, tensors = load_quantised(path)
    assert (network.input.scale, network.input.zero) == (1.0, 0)
    assert network.scales[INPUT] == np.float32(0.02)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    wrong, _ = differences(network, outside_maps(path, tensors, pixels), pixels)
    assert wrong <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": (0.0, 0)}, "or not a positive one"),
        ({"codes": (float("nan"), 0)}, "or not a positive one"),
        ({"out": (1e-12, 0)}, "is too large"),
        ({"out": (5.0, 200)}, None),
        ({"out": (1.5e-6, 200)}, "with the zero point 200"),
    ],
)
def test_scales_that_make_no_sense(
    tmp_path: Path, change: dict[str, tuple[float, int]], message: str | None
) -> None:
    maker = QMaker([1, 3, 9, 9])
    settings = {"codes": (0.02, 0), "out": (0.11, 0), **change}
    out = maker.conv("data", **settings)
    path = maker.save(tmp_path / "a.onnx", out, kind=TensorProto.UINT8, out=TensorProto.UINT8)
    if message is None:
        load_quantised(path)
        return
    with pytest.raises(ValueError, match=message):
        load_quantised(path)


def test_unsupported_quantised_nodes_are_listed(tmp_path: Path) -> None:
    maker = QMaker([1, 3, 9, 9])
    out = maker.conv("data", (0.02, 0), (0.11, 0))
    codes = maker.quantities((0.11, 0))
    first = maker.add("Sigmoid", maker.add("DequantizeLinear", out, *codes))
    second = maker.add("ConvInteger", out, maker.constant(np.zeros((5, 5, 1, 1), np.int8)))
    path = maker.save(tmp_path / "a.onnx", maker.add("Add", first, second), kind=TensorProto.UINT8)
    with pytest.raises(ValueError, match="unsupported: ") as error:
        load_quantised(path)
    assert "Sigmoid Sigmoid_2 (no such layer here)" in str(error.value)
    assert "ConvInteger ConvInteger_3 (no such layer here)" in str(error.value)


def test_scales_far_apart_are_not_added(tmp_path: Path) -> None:
    maker = QMaker([1, 3, 9, 9])
    out = maker.conv("data", (0.02, 0), (0.11, 0))
    other = maker.conv("data", (0.02, 0), (1000.0, 0))
    codes = maker.quantities((0.11, 0), (1000.0, 0), (0.2, 0))
    total = maker.add("QLinearAdd", out, *codes[:2], other, *codes[2:], domain="com.microsoft")
    path = maker.save(tmp_path / "a.onnx", total, kind=TensorProto.UINT8, out=TensorProto.UINT8)
    with pytest.raises(ValueError, match=r"QLinearAdd_2 \(scales of 0\.11 and 1000 are too far"):
        load_quantised(path)


def test_each_channels_weights_lose_the_zero_point_of_their_own(tmp_path: Path) -> None:
    maker = Maker([1, 3, 6, 6])
    rng = np.random.default_rng(3)

    def through(source: str, scale: float, zero: int) -> str:
        pair = maker.constant(np.float32(scale)), maker.constant(np.uint8(zero))
        return maker.add("DequantizeLinear", maker.add("QuantizeLinear", source, *pair), *pair)

    codes = rng.integers(-60, 60, (4, 3, 3, 3)).astype(np.int8)
    zeros = np.array([-20, 0, 15, 30], np.int8)
    scales = np.array([0.01, 0.02, 0.01, 0.015], "f4")
    weight = maker.add("DequantizeLinear", *map(maker.constant, (codes, scales, zeros)), axis=0)
    out = through(maker.add("Conv", through("data", 1 / 255, 0), weight), 0.02, 128)
    path = maker.save(tmp_path / "net.onnx", out)
    network, *_ = load_quantised(path, mean=(0.0,) * 3, std=(255.0,) * 3)
    pixels = rng.integers(0, 256, (6, 6, 3), np.uint8)
    got = run_quantised(network, pixels)[network.layers[-1].name]
    # The convolution in plain NumPy, from the definition of DequantizeLinear.
    real = (codes.astype(float) - zeros.reshape(-1, 1, 1, 1)) * scales.reshape(-1, 1, 1, 1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels / 255, (3, 3), axis=(0, 1))
    want = np.clip(np.rint(np.einsum("yxcij,ocij->yxo", windows, real) / 0.02) + 128, 0, 255)
    assert np.abs(got - want).max() <= 1
    assert len(np.unique(want)) > 20
