"""The golden layers against naive loops over Python integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import exp, floor

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.models.golden import ops
from penstock.models.golden.fixed import lrn_table, requantise
from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Lrn,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    infer_shapes,
)
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise

SEEDS = range(12)


def codes(rng: np.random.Generator, *shape: int) -> NDArray[np.uint8]:
    return rng.integers(0, 256, shape).astype(np.uint8)


def random_geometry(rng: np.random.Generator) -> ConvGeometry:
    return ConvGeometry(
        kernel=(int(rng.integers(1, 5)), int(rng.integers(1, 5))),
        stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        pad=tuple(int(p) for p in rng.integers(0, 4, 4)),
        groups=int(rng.integers(1, 4)),
    )


def random_conv(rng: np.random.Generator) -> QConv:
    geometry = random_geometry(rng)
    outputs = geometry.groups * int(rng.integers(1, 4))
    return QConv(
        name="conv",
        inputs=(INPUT,),
        geometry=geometry,
        weight=rng.integers(-128, 128, (outputs, *geometry.kernel, rng.integers(1, 5))).astype(
            np.int8
        ),
        bias=rng.integers(-50000, 50000, outputs).astype(np.int32),
        multiplier=rng.integers(1, 1 << 15, outputs),
        shift=rng.integers(10, 26, outputs),
        in_zero=int(rng.integers(0, 256)),
    )


def naive_conv(layer: QConv, image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Convolve one product at a time."""
    geometry = layer.geometry
    height, width = image.shape[:2]
    out_h, out_w = geometry.out_size(height, width)
    out_ch, kernel_h, kernel_w, depth = layer.weight.shape
    acc = np.zeros((out_h, out_w, out_ch), np.int64)
    for oy, ox, oc in np.ndindex(out_h, out_w, out_ch):
        group = oc // (out_ch // geometry.groups)
        for ky, kx, ic in np.ndindex(kernel_h, kernel_w, depth):
            y = oy * geometry.stride[0] + ky - geometry.pad[0]
            x = ox * geometry.stride[1] + kx - geometry.pad[1]
            inside = 0 <= y < height and 0 <= x < width
            value = int(image[y, x, group * depth + ic]) if inside else layer.in_zero
            acc[oy, ox, oc] += value * int(layer.weight[oc, ky, kx, ic])
    return acc


@pytest.mark.parametrize("depth", [1, 2, 513, 514, 515, 1028, 1029, 2304, 9216])
@pytest.mark.parametrize("extreme", [-128, 127])
def test_matmul_is_exact_at_the_extremes(depth: int, extreme: int) -> None:
    rng = np.random.default_rng(depth)
    left = np.full((3, depth), 255, np.uint8)
    left[1] = codes(rng, depth)
    left[2, ::2] = 254
    right = np.full((4, depth), extreme, np.int8)
    right[1] = rng.integers(-128, 128, depth)
    right[2, 0] += 1 if extreme < 0 else -1
    right[3] = 0
    want = left.astype(np.int64) @ right.astype(np.int64).T
    got = ops.exact_matmul(left, right)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, want)


def test_matmul_in_blocks_of_outputs_is_exact() -> None:
    rng = np.random.default_rng(5)
    left, right = codes(rng, 2, 9216), rng.integers(-128, 128, (301, 9216)).astype(np.int8)
    want = left.astype(np.int64) @ right.astype(np.int64).T
    np.testing.assert_array_equal(ops.exact_matmul(left, right), want)


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_equals_naive_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = random_conv(rng)
    depth = layer.weight.shape[3] * layer.geometry.groups
    image = codes(rng, *rng.integers(4, 9, 2), depth)
    acc = naive_conv(layer, image)
    np.testing.assert_array_equal(ops.conv_accumulate(layer, image), acc)
    want = requantise(acc, layer.bias, layer.multiplier, layer.shift)
    got = ops.quantised_conv(layer, image)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", SEEDS)
def test_float_conv_equals_the_integer_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = replace(random_conv(rng), in_zero=0)
    depth = layer.weight.shape[3] * layer.geometry.groups
    image = codes(rng, *rng.integers(4, 9, 2), depth)
    floating = Conv(
        name="conv",
        inputs=(INPUT,),
        geometry=layer.geometry,
        weight=layer.weight.transpose(0, 3, 1, 2).astype(np.float32),
        bias=layer.bias.astype(np.float32),
    )
    acc = naive_conv(layer, image) + layer.bias
    want = np.maximum(acc, 0)
    np.testing.assert_array_equal(ops.float_conv(floating, image.astype(np.float32)), want)
    linear = ops.float_conv(replace(floating, relu=False), image.astype(np.float32))
    np.testing.assert_array_equal(linear, acc)


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 96])
def test_lrn_is_within_one_of_float(channels: int) -> None:
    rng = np.random.default_rng(channels)
    settings = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
    table, difference, shift = lrn_table(in_scale=2.0, out_scale=1.0, size=5, **settings)
    layer = QLrn(
        name="norm",
        inputs=(INPUT,),
        size=5,
        table=table,
        difference=difference,
        shift=shift,
        **settings,
    )
    image = codes(rng, 6, 5, channels)
    real = ops.float_lrn(Lrn(name="norm", inputs=(INPUT,)), image.astype(np.float32) * 2)
    want = np.clip(real, 0, 255)
    assert np.abs(ops.quantised_lrn(layer, image) - want).max() < 0.7


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_float_lrn_sums_over_the_window(size: int) -> None:
    rng = np.random.default_rng(size)
    layer = Lrn(name="norm", inputs=(INPUT,), size=size, alpha=0.3, beta=0.6, k=2.0)
    values = rng.normal(0, 3, (2, 2, 6)).astype(np.float32)
    got = ops.float_lrn(layer, values)
    for y, x, c in np.ndindex(values.shape):
        low, high = max(0, c - (size - 1) // 2), min(5, c + size // 2)
        squares = float((values[y, x, low : high + 1].astype(np.float64) ** 2).sum())
        want = values[y, x, c] / (2 + 0.3 / size * squares) ** 0.6
        assert got[y, x, c] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_max_pool_equals_naive_loops(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    kernel = int(rng.integers(1, 4))
    layer = MaxPool(
        name="pool",
        inputs=(INPUT,),
        kernel=kernel,
        stride=int(rng.integers(1, 4)),
        pad=tuple(int(p) for p in rng.integers(0, kernel, 4)),
    )
    height, width = (int(size) for size in rng.integers(3, 9, 2))
    values = codes(rng, height, width, 3).astype(dtype)
    if dtype is np.float32:
        values -= 300  # padding must not be the maximum of negative values
    out_h, out_w = layer.geometry.out_size(height, width)
    got = ops.max_pool(layer, values)
    assert got.shape == (out_h, out_w, 3)
    assert got.dtype == dtype
    for oy, ox in np.ndindex(out_h, out_w):
        y, x = oy * layer.stride - layer.pad[0], ox * layer.stride - layer.pad[1]
        window = values[max(y, 0) : y + kernel, max(x, 0) : x + kernel]
        np.testing.assert_array_equal(got[oy, ox], window.max(axis=(0, 1)))


@pytest.mark.parametrize("size", [(6, 6), (7, 7), (3, 5), (4, 4), (1, 1)])
@pytest.mark.parametrize("gain", [1, 2, 8])
def test_global_average_of_every_sum_rounds_halves_up(size: tuple[int, int], gain: int) -> None:
    positions = size[0] * size[1]
    sums = np.arange(255 * positions + 1)
    # One channel for each sum: as even as can be, in a random order.
    maps = sums // positions + (np.arange(positions)[:, None] < sums % positions)
    maps = np.random.default_rng(1).permuted(maps, axis=0).reshape(*size, -1).astype(np.uint8)
    layer = QGlobalAveragePool(name="mean", inputs=(INPUT,), gain=gain, out_scale=1.0)
    got = ops.run_layer(layer, maps)
    assert got.shape == (1, 1, len(sums))
    assert got.dtype == np.uint8
    half = Fraction(1, 2)
    want = [min(floor(Fraction(int(total) * gain, positions) + half), 255) for total in sums]
    assert got.reshape(-1).tolist() == want
    batch = np.stack([maps, maps[::-1]])
    assert ops.global_average(layer, batch)[1].tolist() == want


def test_float_global_average() -> None:
    values = np.random.default_rng(2).normal(3, 1, (5, 4, 7)).astype(np.float32)
    got = ops.run_layer(GlobalAveragePool(name="mean", inputs=(INPUT,)), values)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, values.mean(axis=(0, 1))[None, None], rtol=1e-6)


def test_fc_flattens_channel_major() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    # (y, x, c) is y * 6 + x * 2 + c: all of channel 0 first.
    assert list(ops.flatten(image)) == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    weight = np.zeros((1, 12), np.float32)
    weight[0, 6] = 1
    layer = Fc(name="fc", inputs=(INPUT,), weight=weight, bias=np.zeros(1, np.float32))
    assert ops.run_layer(layer, image.astype(np.float32))[0, 0, 0] == 1


@pytest.mark.parametrize("relu", [True, False])
def test_quantised_fc_of_a_batch(relu: bool) -> None:
    rng = np.random.default_rng(3)
    layer = QFc(
        name="fc",
        inputs=(INPUT,),
        weight=rng.integers(-127, 128, (5, 700)).astype(np.int8),
        bias=rng.integers(-9999, 9999, 5).astype(np.int32),
        multiplier=rng.integers(1, 99, 5),
        shift=np.full(5, 16),
        out_scale=np.full(5, 0.25),
        relu=relu,
    )
    batch = codes(rng, 3, 700)
    acc = batch.astype(np.int64) @ layer.weight.astype(np.int64).T
    want = requantise(acc, layer.bias, layer.multiplier, layer.shift) if relu else acc + layer.bias
    got = ops.quantised_fc(layer, batch)
    assert got.dtype == (np.uint8 if relu else np.int32)
    np.testing.assert_array_equal(got, want)


def test_scores_are_probabilities_of_scaled_logits() -> None:
    layer = tiny_quantised().layers[-1]
    assert isinstance(layer, QFc)
    logits = np.array([[2**31 - 1, -(2**31), 0, 5, 5, 1, 2, 3, 4, 6]], np.int32)
    got = ops.scores(layer, logits)
    assert np.isfinite(got).all()
    assert got.sum() == pytest.approx(1)
    assert got[0, 0] == pytest.approx(1)
    np.testing.assert_allclose(ops.softmax(np.log([1.0, 2.0, 5.0])), [0.125, 0.25, 0.625])


def tiny_quantised() -> Network:
    return quantise(tiny_net(), tiny_images())


def test_run_gives_every_map_in_its_shape() -> None:
    network = tiny_quantised()
    maps = ops.run_quantised(network, tiny_images()[0])
    shapes = infer_shapes(network)
    assert list(maps) == [layer.name for layer in network.layers]
    for name, values in maps.items():
        assert values.shape == shapes[name]
        assert values.dtype == (np.int32 if name == "fc5" else np.uint8)
    upto = ops.run_quantised(network, tiny_images()[0], stop="pool1")
    assert list(upto) == ["conv1", "norm1", "pool1"]


def test_run_refuses_wrong_inputs() -> None:
    network = tiny_quantised()
    with pytest.raises(ValueError, match=r"input of shape \(39, 39, 3\), not \(38, 39, 3\)"):
        ops.run_quantised(network, tiny_images()[0][1:])
    with pytest.raises(ValueError, match="must be uint8, not float64"):
        ops.run_quantised(network, np.zeros((39, 39, 3)))
    with pytest.raises(ValueError, match="has no layer 'conv9'"):
        ops.run_quantised(network, tiny_images()[0], stop="conv9")


def test_input_codes_follow_the_spec() -> None:
    spec = InputSpec(
        shape=(1, 2, 3),
        resize=2,
        mean=(100.0, 110.0, 120.0),
        std=(1.0, 2.0, 1.0),
        scale=2.0,
        zero=50,
    )
    pixels = np.array([[[0, 110, 255], [101, 200, 119]]], np.uint8)
    # rint rounds halves to even: (101 - 100) / 2 gives 0, (119 - 120) / 2 gives -0.
    assert ops.input_codes(spec, pixels).tolist() == [[[0, 50, 118], [50, 72, 50]]]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 16, 25, 36, 49, 64])
def test_average_rounds_halves_up_as_one_multiplication_does(count: int) -> None:
    sums = np.arange(255 * count + 1)
    # Any codes with these sums, one window to a column.
    ramp = (np.arange(count)[:, None] < sums % count).astype(np.uint8)
    codes = (sums // count + ramp).astype(np.uint8)[..., None]
    layer = QAveragePool(name="mean", inputs=(INPUT,), kernel=(count, 1), stride=(1, 1))
    got = ops.quantised_average(layer, codes).reshape(-1)
    np.testing.assert_array_equal(got, [(2 * n + count) // (2 * count) for n in sums.tolist()])
    # As in hardware: the next larger multiplier of 17 bits, ignoring the remainder.
    shift = 16 + (count - 1).bit_length()
    multiplier = 2**shift // count + (count & (count - 1) > 0)
    assert multiplier < 1 << 17
    half = 1 << shift - 1
    np.testing.assert_array_equal(got, (sums * multiplier + half) >> shift)


@pytest.mark.parametrize("seed", range(4))
def test_average_of_cut_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (7, 6, 3)).astype(np.float32)
    count_pad = seed % 2 == 1
    layer = AveragePool(
        name="mean",
        inputs=(INPUT,),
        kernel=(3, 2),
        stride=(2, 1),
        pad=(1, 0, 2, 1),
        count_pad=count_pad,
    )
    got = ops.run_layer(layer, values)
    assert got.shape == (4, 6, 3)
    codes = rng.integers(0, 256, values.shape).astype(np.uint8)
    quantised = QAveragePool(
        name="mean",
        inputs=(INPUT,),
        kernel=(3, 2),
        stride=(2, 1),
        pad=(1, 0, 2, 1),
        count_pad=count_pad,
        multiplier=3,
        shift=2,
        in_zero=100,
        out_zero=50,
    )
    integers = ops.run_layer(quantised, codes)
    for y in range(4):
        for x in range(6):
            top, left = 2 * y - 1, x
            rows = slice(max(top, 0), min(top + 3, 7))
            columns = slice(left, min(left + 2, 6))
            window = values[rows, columns].reshape(-1, 3)
            count = 6 if count_pad else max(len(window), 1)
            np.testing.assert_allclose(got[y, x], window.sum(axis=0) / count, atol=1e-6)
            total = (codes[rows, columns].reshape(-1, 3).astype(float) - 100).sum(axis=0)
            want = np.floor(total * 3 / 4 / count + 0.5) + 50
            np.testing.assert_array_equal(integers[y, x], np.clip(want, 0, 255))


def test_add_is_a_convolution_with_diagonal_weights() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 9, 8, 5)).astype(np.uint8)
    layer = QAdd(
        name="sum", inputs=("a", "b"), weight=(3, 64), bias=-7777, multiplier=1219, shift=16
    )
    got = ops.run_layer(layer, first, second)
    assert 0 < np.mean((got > 0) & (got < 255)) < 1
    eye = np.eye(5, dtype=np.int8)
    conv = QConv(
        name="sum",
        inputs=(INPUT,),
        geometry=ConvGeometry(kernel=(1, 1)),
        weight=np.concatenate([3 * eye, 64 * eye], axis=1)[:, None, None],
        bias=np.full(5, -7777, np.int32),
        multiplier=np.full(5, 1219),
        shift=np.full(5, 16),
    )
    both = ops.run_layer(Concat(name="both", inputs=("a", "b")), first, second)
    np.testing.assert_array_equal(got, ops.run_layer(conv, both))


def test_float_add_and_concat() -> None:
    first = np.array([[[1.0, -2.0]]], np.float32)
    second = np.array([[[-3.0, 5.0]]], np.float32)
    add = Add(name="sum", inputs=("a", "b"))
    np.testing.assert_array_equal(ops.run_layer(add, first, second), [[[0, 3]]])
    linear = Add(name="sum", inputs=("a", "b"), relu=False)
    np.testing.assert_array_equal(ops.run_layer(linear, first, second), [[[-2, 3]]])
    both = Concat(name="both", inputs=("b", "a"))
    np.testing.assert_array_equal(ops.run_layer(both, second, first), [[[-3, 5, 1, -2]]])


def test_wrong_parameters_of_averages_and_sums() -> None:
    window = {"name": "mean", "inputs": (INPUT,), "kernel": (2, 2), "stride": (1, 1)}
    with pytest.raises(ValueError, match="multiplier must be 1 to 131071, not 0"):
        QAveragePool(**window, multiplier=0)
    with pytest.raises(ValueError, match="shift must be 0 to 31, not 32"):
        QAveragePool(**window, shift=32)
    with pytest.raises(ValueError, match=r"weight must be two integers of 1 to 127, not \(0, 1\)"):
        QAdd(name="sum", inputs=("a", "b"), weight=(0, 1), bias=0, multiplier=1, shift=0)


def test_scores_take_each_class_by_its_own_scale() -> None:
    scale = np.array([0.5, 0.25, 1.0])
    layer = QFc(
        name="fc",
        inputs=(INPUT,),
        weight=np.zeros((3, 4), np.int8),
        bias=np.zeros(3, np.int64),
        multiplier=np.ones(3, np.int64),
        shift=np.zeros(3, np.int64),
        out_scale=scale,
        relu=False,
    )
    logits = [4, 12, 1]
    powers = [exp(code * unit) for code, unit in zip(logits, (0.5, 0.25, 1.0), strict=True)]
    want = [power / sum(powers) for power in powers]
    assert ops.scores(layer, np.array(logits)) == pytest.approx(want)
