"""Float graphs with branches, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from penstock.models.golden.ops import normalise, run_float
from penstock.models.graph.graph import (
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    InputSpec,
    Network,
)
from penstock.models.networks import googlenet
from penstock.models.networks.lenet import build_cifar10_quick, build_lenet5
from penstock.models.networks.seeded import seeded
from penstock.models.onnx_io.importer import load_float
from tests.support.branchnet import branch_images, branch_net
from tests.support.onnx_graphs import Maker, float_model, judge


def agree(path: Path, network: Network, seed: int = 0) -> None:
    """Check a network against the file it came from."""
    pixels = np.random.default_rng(seed).integers(0, 256, network.input.shape)
    data = ((pixels - np.float32(0)) / 255).astype(np.float32)
    want = judge(path, data)
    got = run_float(network, pixels)[network.layers[-1].name]
    # (height, width, channels) as (channels, height, width), or a vector.
    got = got.transpose(2, 0, 1).reshape(want.shape[1:])
    np.testing.assert_allclose(got, want[0], rtol=1e-4, atol=1e-5)


def load(path: Path, channels: int = 3) -> Network:
    return load_float(path, mean=(0.0,) * channels, std=(255.0,) * channels)


def small(build: Callable[..., Network], **settings: Any) -> Network:
    """Return a published network on small images."""
    spec = InputSpec(shape=(64, 64, 3), resize=64, order="RGB", mean=(99.0, 110.0, 120.0))
    network = build(spec=spec, classes=7, **settings)
    images = np.random.default_rng(0).integers(0, 256, (2, *spec.shape), np.uint8)
    return seeded(network, images)


@pytest.mark.parametrize(
    "make",
    [
        branch_net,
        lambda: small(googlenet.build, width=0.25),
        lambda: seeded(build_lenet5(), np.arange(2048, dtype=np.uint8).reshape(2, 32, 32, 1)),
        lambda: seeded(
            build_cifar10_quick(), np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "u1")
        ),
    ],
)
def test_networks_come_back_whole(tmp_path: Path, make: Callable[[], Network]) -> None:
    network = make()
    path = tmp_path / "net.onnx"
    onnx.save(float_model(network), path)
    spec = network.input
    read = load_float(path, order=spec.order, mean=spec.mean, std=spec.std)
    pixels = np.random.default_rng(1).integers(0, 256, spec.shape, np.uint8)
    want = run_float(network, pixels)[network.layers[-1].name]
    got = run_float(read, pixels)[read.layers[-1].name]
    np.testing.assert_array_equal(got, want)
    outside = judge(path, normalise(spec, pixels))
    np.testing.assert_allclose(got.reshape(-1), outside.reshape(-1), rtol=1e-3, atol=1e-3)


def test_batch_normalisation_is_folded(tmp_path: Path) -> None:
    maker = Maker([1, 3, 9, 8])

    def norm(source: str, channels: int) -> str:
        values = [maker.rng.uniform(0.5, 2, channels).astype("f4") for _ in range(4)]
        return maker.add("BatchNormalization", source, *map(maker.constant, values), epsilon=1e-3)

    first = norm(maker.add("Conv", "data", maker.random(4, 3, 3, 3)), 4)
    second = norm(maker.add("Conv", "data", maker.random(4, 3, 3, 3), maker.random(4)), 4)
    total = maker.add("Relu", maker.add("Add", first, second))
    path = maker.save(tmp_path / "a.onnx", maker.add("Relu", norm(total, 4)))
    network = load(path)
    assert [layer.name for layer in network.layers] == ["conv1", "conv2", "add2", "scale3"]
    last = network.layers[-1]
    assert isinstance(last, Conv)
    assert last.geometry.groups == 4
    agree(path, network)


@pytest.mark.parametrize("opset", [7, 10, 13, 18, 21])
@pytest.mark.parametrize("ceil", [0, 1])
def test_average_pools(tmp_path: Path, opset: int, ceil: int) -> None:
    for count, pads in ((0, [0, 0, 0, 0]), (0, [1, 0, 1, 1]), (1, [1, 1, 1, 1])):
        maker = Maker([1, 3, 11, 12])
        attributes = {"ceil_mode": ceil} if opset >= 10 and not count else {}
        out = maker.add(
            "AveragePool",
            "data",
            kernel_shape=[3, 2],
            strides=[2, 3],
            pads=pads,
            count_include_pad=count,
            **attributes,
        )
        path = maker.save(tmp_path / "a.onnx", out, opset=opset)
        network = load(path)
        assert isinstance(network.layers[0], AveragePool)
        agree(path, network)


def test_padding_ahead_of_a_layer(tmp_path: Path) -> None:
    maker = Maker([1, 3, 9, 8])
    pads = maker.constant(np.array([0, 0, 1, 2, 0, 0, 2, 1]))
    padded = maker.add("Pad", "data", pads)
    conv = maker.add("Relu", maker.add("Conv", padded, maker.random(4, 3, 3, 3), pads=[1] * 4))
    pool = maker.add("MaxPool", maker.add("Pad", conv, pads), kernel_shape=[3, 3])
    mean = maker.add("AveragePool", maker.add("Pad", pool, pads), kernel_shape=[3, 3])
    low = maker.constant(np.float32(-np.inf))
    path = maker.save(
        tmp_path / "a.onnx",
        maker.add("MaxPool", maker.add("Pad", mean, pads, low), kernel_shape=[3, 3]),
    )
    agree(path, load(path))
    last = maker.add("MaxPool", maker.add("Pad", "data", pads), kernel_shape=[3, 3])
    with pytest.raises(ValueError, match=r"MaxPool_10 \(padding of 0 ahead of it"):
        load(maker.save(path, last))
    last = maker.add("GlobalAveragePool", maker.add("Pad", "data", pads))
    with pytest.raises(ValueError, match=r"GlobalAveragePool_12 \(padding ahead of it"):
        load(maker.save(path, last))


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding(tmp_path: Path, auto: str) -> None:
    maker = Maker([1, 3, 10, 11])
    out = maker.add("Conv", "data", maker.random(4, 3, 4, 3), auto_pad=auto, strides=[2, 2])
    out = maker.add("MaxPool", out, kernel_shape=[2, 2], strides=[2, 2], auto_pad=auto)
    path = maker.save(tmp_path / "a.onnx", out)
    agree(path, load(path))


def test_shapes_computed_in_the_graph(tmp_path: Path) -> None:
    """PyTorch's nodes for a flattening with a dynamic batch."""
    maker = Maker(["batch", 3, 8, 8])
    conv = maker.add("Relu", maker.add("Conv", "data", maker.random(5, 3, 3, 3)))
    shape = maker.add("Shape", conv)
    first = maker.add("Gather", shape, maker.constant(np.int64(0)), axis=0)
    batch = maker.add("Unsqueeze", first, maker.constant(np.array([0])))
    target = maker.add("Concat", batch, maker.constant(np.array([-1])), axis=0)
    flat = maker.add("Reshape", conv, target)
    weight = maker.add("Transpose", maker.random(4, 5 * 36), perm=[1, 0])
    path = maker.save(tmp_path / "a.onnx", maker.add("MatMul", flat, weight))
    network = load(path)
    assert [layer.name for layer in network.layers] == ["conv1", "fc2"]
    agree(path, network)


@pytest.mark.parametrize("opset", [13, 18])
def test_means_of_the_whole_map(tmp_path: Path, opset: int) -> None:
    maker = Maker([1, 3, 6, 7])
    axes = [maker.constant(np.array([-1, -2]))] if opset >= 18 else []
    attributes = {} if opset >= 18 else {"axes": [2, 3]}
    mean = maker.add("ReduceMean", "data", *axes, keepdims=0, **attributes)
    path = maker.save(tmp_path / "a.onnx", maker.add("Gemm", mean, maker.random(3, 5)), opset=opset)
    network = load(path)
    assert isinstance(network.layers[0], GlobalAveragePool)
    agree(path, network)
    mean = maker.add(
        "Squeeze", maker.add("GlobalAveragePool", "data"), *[maker.constant(np.array([2, 3]))]
    )
    path = maker.save(tmp_path / "b.onnx", maker.add("Gemm", mean, maker.random(3, 5)), opset=opset)
    agree(path, load(path))


def test_arithmetic_on_the_input_is_preparation(tmp_path: Path) -> None:
    maker = Maker([1, 3, 6, 7])
    means = maker.constant(np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1))
    out = maker.add("Sub", "data", means)
    out = maker.add("Div", out, maker.constant(np.float32(0.5)))
    out = maker.add("Add", maker.constant(np.float32(0.25)), maker.add("Mul", out, means))
    path = maker.save(tmp_path / "a.onnx", maker.add("Conv", out, maker.random(4, 3, 3, 3)))
    network = load(path)
    assert [layer.name for layer in network.layers] == ["conv1"]
    agree(path, network)


def test_relu_is_pushed_through_joins_and_pools(tmp_path: Path) -> None:
    maker = Maker([1, 3, 6, 7])
    parts = [maker.add("Conv", "data", maker.random(4, 3, 3, 3)) for _ in range(2)]
    joined = maker.add("Concat", *parts, axis=-3)
    out = maker.add(
        "Clip", maker.add("MaxPool", joined, kernel_shape=[2, 2]), maker.constant(np.float32(0))
    )
    path = maker.save(tmp_path / "a.onnx", maker.add("Relu", out))
    network = load(path)
    assert all(layer.relu for layer in network.layers if isinstance(layer, Conv))
    assert isinstance(network.layers[2], Concat)
    agree(path, network)


def test_quantised_images_are_close(tmp_path: Path) -> None:
    network = branch_net()
    pixels = branch_images(count=1)[0]
    path = tmp_path / "net.onnx"
    onnx.save(float_model(network), path)
    read = load_float(path, mean=network.input.mean)
    got = run_float(read, pixels)[read.layers[-1].name].reshape(-1)
    np.testing.assert_allclose(
        got, judge(path, normalise(network.input, pixels)).reshape(-1), rtol=1e-3, atol=1e-4
    )


def test_batch_normalisation_without_epsilon_has_that_of_the_operator(tmp_path: Path) -> None:
    # Variances near the epsilon, where it counts.
    default = onnx.defs.get_schema("BatchNormalization").attributes["epsilon"].default_value.f
    maker = Maker([1, 3, 6, 6])
    variance = np.array([1e-5, 3e-5, 1e-4], "f4")
    ones, zeros = np.ones(3, "f4"), np.zeros(3, "f4")
    out = maker.add(
        "BatchNormalization", "data", *map(maker.constant, (ones, zeros, zeros, variance))
    )
    path = maker.save(tmp_path / "net.onnx", out)
    network = load(path)
    agree(path, network)
    (layer,) = network.layers
    assert isinstance(layer, Conv)
    want = [1 / (v + default) ** 0.5 for v in variance.tolist()]
    np.testing.assert_allclose(layer.weight.reshape(-1), want, rtol=1e-6)


@pytest.mark.parametrize("between", ["", "Relu"])
def test_a_convolution_read_twice_keeps_its_values_beside_a_batch_normalisation(
    tmp_path: Path, between: str
) -> None:
    maker = Maker([1, 3, 6, 6])
    last = maker.add("Conv", "data", maker.random(4, 3, 3, 3), maker.random(4))
    if between:
        last = maker.add(between, last)
    values = [np.array(v, "f4") for v in ([2, 3, 4, 5], [1, -1, 1, -1], [0, 1, 0, 1], [1, 2, 3, 4])]
    normal = maker.add("BatchNormalization", last, *map(maker.constant, values))
    other = maker.add("Conv", last, maker.random(4, 4, 1, 1), maker.random(4))
    path = maker.save(tmp_path / "net.onnx", maker.add("Concat", normal, other, axis=1))
    agree(path, load(path))
