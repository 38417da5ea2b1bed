"""The quantiser: exact scales, small errors, and odd layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.models.golden.ops import conv_accumulate, input_codes, run_float, run_quantised
from penstock.models.graph.graph import (
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
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
)
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.quant.rows import OUT_SHIFT
from tests.support.networks import alexnet, photographs, quantised_alexnet

# Rows of a weight matrix looked at closely: all of them in all but the large layers.
ROWS = 384


def real_maps(network: Network, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Golden maps of a quantised network in real units."""
    maps = run_quantised(network, input_codes(network.input, pixels))
    last = network.layers[-1]
    return {
        name: values
        * (
            last.out_scale
            if isinstance(last, QFc) and not last.relu and name == last.name
            else network.scales[name]
        )
        for name, values in maps.items()
    }


def noise(want: NDArray[Any], got: NDArray[Any]) -> float:
    """Relative root mean square error."""
    return float(np.sqrt(np.square(got - want).mean() / np.square(want).mean()))


def small(layers: tuple[Layer, ...], **spec: Any) -> Network:
    """Return a network on 9x9x3 pixels."""
    settings: dict[str, Any] = {"shape": (9, 9, 3), "resize": 9, **spec}
    return Network(name="small", input=InputSpec(**settings), layers=layers)


def conv(name: str = "conv1", source: str = INPUT, *, pad: int = 0, **changes: Any) -> Conv:
    rng = np.random.default_rng(len(name))
    settings: dict[str, Any] = {
        "weight": rng.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32),
        "bias": np.full(8, 3, np.float32),
        "geometry": ConvGeometry(kernel=(3, 3), pad=(pad,) * 4),
        **changes,
    }
    return Conv(name=name, inputs=(source,), **settings)


def pictures(count: int = 3) -> NDArray[np.uint8]:
    return tiny_images(count=count)[:, :9, :9]


@pytest.mark.parametrize("network", ["tiny", "padded", "alexnet"])
def test_scales_are_dyadic_and_multipliers_small(network: str) -> None:
    if network == "alexnet":
        floating, quantised = alexnet(), quantised_alexnet()
    else:
        floating = tiny_net(pad=2 if network == "padded" else 0)
        quantised = quantise(floating, tiny_images())
    names = [INPUT, *(layer.name for layer in quantised.layers[:-1])]
    assert list(quantised.scales) == names
    assert all(np.log2(scale) % 1 == 0 for scale in quantised.scales.values())
    for layer in quantised.layers:
        if isinstance(layer, MaxPool):
            assert quantised.scales[layer.name] == quantised.scales[layer.inputs[0]]
        if not isinstance(layer, QConv | QFc):
            continue
        assert layer.weight.dtype == np.int8
        assert layer.weight.min() >= -127
        magnitude = np.abs(layer.weight).reshape(len(layer.bias), -1).sum(axis=1, dtype=np.int64)
        assert (255 * magnitude + np.abs(layer.bias.astype(np.int64))).max() < 1 << 31
        if isinstance(layer, QFc) and not layer.relu:
            continue
        assert (layer.shift == OUT_SHIFT).all()
        assert layer.multiplier.min() >= 1
        assert layer.multiplier.max() < 1 << 15
        # The integers equal the float weights within half a step.
        scale = layer.multiplier / 2**16 * quantised.scales[layer.name]
        scale = (scale / quantised.scales[layer.inputs[0]])[:ROWS]
        source = floating.layer(layer.name)
        assert isinstance(source, Conv | Fc)
        weight = source.weight[:ROWS]
        if weight.ndim == 4:
            weight = weight.transpose(0, 2, 3, 1)
        step = scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert (np.abs(layer.weight[:ROWS] * step - weight) <= 0.5001 * step).all()


def test_alexnet_stays_close_to_float() -> None:
    pixels = photographs(alexnet().input)[0]
    want = run_float(alexnet(), pixels)
    got = real_maps(quantised_alexnet(), pixels)
    limits = {"conv1": 0.02, "conv2": 0.04, "conv5": 0.1, "fc7": 0.2, "fc8": 0.25}
    for name, limit in limits.items():
        assert noise(want[name], got[name]) < limit, name
    for name in quantised_alexnet().scales:
        if name != INPUT:
            codes = got[name] / quantised_alexnet().scales[name]
            assert (codes == 255).mean() < 0.001, name
            assert codes.max() > 100, name


@pytest.mark.parametrize("pad", [0, 2])
def test_tiny_stays_close_to_float(pad: int) -> None:
    floating = tiny_net(pad=pad)
    network = quantise(floating, tiny_images())
    for pixels in tiny_images(count=3, seed=1):
        want, got = run_float(floating, pixels), real_maps(network, pixels)
        for name, values in want.items():
            # The last layers add up few values: little averages out.
            assert noise(values, got[name]) < (0.3 if name.startswith("fc") else 0.12), name


def test_unpadded_input_takes_raw_pixels() -> None:
    network = quantise(tiny_net(), tiny_images())
    pixels = tiny_images()[0]
    np.testing.assert_array_equal(input_codes(network.input, pixels), pixels)


def test_padded_input_has_a_zero_point() -> None:
    network = quantise(tiny_net(pad=2), tiny_images())
    first = network.layers[0]
    assert isinstance(first, QConv)
    assert first.in_zero == network.input.zero == 62
    # Means differ: codes step by two so that the darkest and brightest pixels still fit.
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    codes = input_codes(network.input, ends)
    # Nothing is clipped: black and white are 127 or 128 apart in each channel.
    assert set((codes[0, 1].astype(int) - codes[0, 0]).tolist()) <= {127, 128}
    equal = replace(tiny_net(pad=2), input=replace(tiny_net().input, mean=(110.0,) * 3))
    spec = quantise(equal, tiny_images()).input
    assert (spec.scale, spec.zero) == (1.0, 110)


@pytest.mark.parametrize("pad", [0, 1])
def test_standard_deviations_go_into_the_weights(pad: int) -> None:
    spec = {"mean": (10.0, 120.0, 240.0), "std": (2.0, 50.0, 9.0)}
    floating = small((conv(pad=pad),), **spec)
    network = quantise(floating, pictures())
    assert network.input.std == (1.0, 1.0, 1.0)
    for pixels in pictures():
        want = run_float(floating, pixels)["conv1"]
        assert noise(want, real_maps(network, pixels)["conv1"]) < 0.03


def test_pooling_the_input() -> None:
    pool = MaxPool(name="pool0", inputs=(INPUT,), kernel=2, stride=2)
    floating = small((pool, conv(source="pool0")), mean=(10.0,) * 3, std=(50.0, 60.0, 70.0))
    network = quantise(floating, pictures())
    want = run_float(floating, pictures()[0])["conv1"]
    assert noise(want, real_maps(network, pictures()[0])["conv1"]) < 0.03


def test_fully_connected_on_the_input() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, (4, 243)).astype(np.float32)
    fc = Fc(name="fc1", inputs=(INPUT,), weight=weight, bias=np.ones(4, np.float32), relu=False)
    floating = small((fc,), mean=(10.0, 90.0, 120.0), std=(50.0, 60.0, 70.0))
    network = quantise(floating, pictures())
    want = run_float(floating, pictures()[0])["fc1"]
    assert noise(want, real_maps(network, pictures()[0])["fc1"]) < 0.03


@pytest.mark.parametrize("bias", [0.0, 5.0, 1e6, -1e6, 1e12, -1e12])
def test_dead_channels(bias: float) -> None:
    layer = conv()
    layer.weight[2] = 0
    layer.bias[2] = bias
    layer.weight[3] = 1e-30
    floating = small((layer,))
    network = quantise(floating, pictures())
    got = real_maps(network, pictures()[0])["conv1"]
    top = 255 * network.scales["conv1"]
    want = np.clip(run_float(floating, pictures()[0])["conv1"], 0, top)
    assert np.abs(got - want).max() <= max(network.scales["conv1"] * 1.01, 0.03 * want.max())
    alive = [0, 1, 4, 5, 6, 7]
    if abs(bias) <= 5:
        assert noise(want[..., alive], got[..., alive]) < 0.03


def test_a_layer_that_never_fires() -> None:
    layer = conv()
    layer.bias[:] = -1e5
    network = quantise(
        small((layer, conv("conv2", "conv1", weight=np.ones((8, 8, 3, 3), "f4")))), pictures()
    )
    maps = run_quantised(network, pictures()[0])
    assert not maps["conv1"].any()
    assert network.layers[0].multiplier.max() < 1 << 15


def test_large_weights_coarsen_the_output() -> None:
    # Outputs are tiny on these images because pairs of weights cancel.
    weight = np.zeros((8, 3, 3, 3), np.float32)
    weight[:, 0], weight[:, 1] = 1e4, -1e4
    grey = np.repeat(pictures()[..., :1], 3, axis=3)
    layer = conv(weight=weight)
    network = quantise(small((layer,)), grey)
    quantised = network.layers[0]
    assert isinstance(quantised, QConv)
    assert 1 << 14 <= quantised.multiplier.max() < 1 << 15
    acc = conv_accumulate(quantised, grey[0])
    assert not acc.any()


def test_the_last_layers_dead_outputs() -> None:
    floating = tiny_net()
    last = floating.layers[-1]
    assert isinstance(last, Fc)
    last.weight[1:4] = 0
    last.bias[:4] = (0.0, 0.0, 7.0, -1e9)
    network = quantise(floating, tiny_images())
    got = real_maps(network, tiny_images()[0])["fc5"].reshape(-1)
    assert got[1] == 0
    assert got[2:4] == pytest.approx([7.0, -1e9], rel=1e-5)


def test_overflow_is_refused() -> None:
    fc = Fc(
        name="fc1",
        inputs=(INPUT,),
        weight=np.ones((1, 64 * 64 * 9), np.float32),
        bias=np.zeros(1, np.float32),
        relu=False,
    )
    network = replace(
        small((fc,)), input=InputSpec(shape=(64, 64, 9), resize=64, mean=(0.0,) * 9, std=(1.0,) * 9)
    )
    images = np.ones((1, 64, 64, 9), np.uint8)
    with pytest.raises(ValueError, match="layer fc1: the sum of 36864 products may leave 32 bits"):
        quantise(network, images)


def test_what_has_no_quantised_form_is_listed() -> None:
    layers = (
        conv(relu=False),
        Lrn(name="norm1", inputs=("conv1",)),
        replace(conv("conv2", "norm1"), weight=np.full((8, 8, 3, 3), np.nan, np.float32)),
    )
    with pytest.raises(ValueError, match=r"norm1 \(LRN of values that may.*; conv2 \(weights"):
        quantise(small(layers), pictures())
    with pytest.raises(ValueError, match=r"conv1 \(LRN of values that may be negative"):
        quantise(
            small((Lrn(name="conv1", inputs=(INPUT,)), conv("c", "conv1")), mean=(9.0,) * 3),
            pictures(),
        )
    with pytest.raises(ValueError, match="norm1: LRN needs a window of 5, not 3"):
        quantise(small((conv(), Lrn(name="norm1", inputs=("conv1",), size=3))), pictures())
    with pytest.raises(ValueError, match="is not a float layer"):
        quantise(quantise(small((conv(),)), pictures()), pictures())


def test_wrong_calibration_and_input() -> None:
    with pytest.raises(ValueError, match="calibration needs images"):
        quantise(small((conv(),)), pictures()[:0])
    with pytest.raises(ValueError, match="takes an input of shape"):
        quantise(small((conv(),)), pictures()[:, 1:])
    with pytest.raises(ValueError, match="3 channels needs as many means"):
        quantise(small((conv(),), std=(1.0, 0.0, 1.0)), pictures())


def test_the_mean_gets_a_finer_scale() -> None:
    mean = GlobalAveragePool(name="mean", inputs=("conv1",))
    network = quantise(small((conv(), mean)), pictures())
    layer = network.layers[-1]
    assert isinstance(layer, QGlobalAveragePool)
    assert layer.gain > 1
    assert network.scales["mean"] == layer.out_scale == network.scales["conv1"] / layer.gain
    image = pictures()[0]
    codes = run_quantised(network, input_codes(network.input, image))
    values = codes["conv1"].mean(axis=(0, 1)) * network.scales["conv1"]
    got = codes["mean"].reshape(-1) * layer.out_scale
    assert np.abs(got - values).max() <= layer.out_scale / 2
    with pytest.raises(ValueError, match="layer mean: the mean of the input is not supported"):
        quantise(small((replace(mean, inputs=(INPUT,)),), std=(1.0, 2.0, 1.0)), pictures())


def test_lrn_tables_follow_the_scales() -> None:
    network = quantise(tiny_net(), tiny_images())
    norm = network.layer("norm1")
    assert isinstance(norm, QLrn)
    gain = network.scales["conv1"] / network.scales["norm1"]
    assert norm.table[0] / 2.0**norm.shift == pytest.approx(gain, rel=1e-4)


def test_progress_names_every_layer() -> None:
    names: list[str] = []
    network = quantise(tiny_net(), tiny_images(), progress=names.append)
    images = [f"calibrating on image {number} of 4" for number in (1, 2, 3, 4)]
    assert names == [*images, *(f"quantising {layer.name}" for layer in network.layers)]


def test_a_grouped_first_layer_divides_each_group_by_its_own_deviations() -> None:
    # One value per channel: the float network's, within the quantiser's noise, or half as much.
    identity = np.eye(4, dtype=np.float32)[:, :2].reshape(4, 2, 1, 1)
    identity[2:] = identity[:2]
    spec = InputSpec(
        shape=(9, 9, 4), resize=9, order="RGB", mean=(0.0,) * 4, std=(50.0, 100.0, 50.0, 100.0)
    )
    layer = Conv(
        name="conv1",
        inputs=(INPUT,),
        weight=identity,
        bias=np.zeros(4, np.float32),
        geometry=ConvGeometry(kernel=(1, 1), groups=2),
    )
    floating = Network(name="grouped", input=spec, layers=(layer,))
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 4), np.uint8)
    quantised = quantise(floating, images)
    got = real_maps(quantised, images[0])["conv1"]
    want = images[0] / np.array(spec.std)
    assert np.abs(got - want).max() <= quantised.scales["conv1"]


@pytest.mark.parametrize("side", range(4))
def test_padding_on_any_one_side_has_the_zero_point(side: int) -> None:
    # Even where only the bottom or the right side is padded.
    pad = tuple(int(k == side) for k in range(4))
    layer = conv(geometry=ConvGeometry(kernel=(3, 3), pad=pad))
    floating = small((layer,), mean=(120.0,) * 3)
    images = pictures()
    quantised = quantise(floating, images)
    got = real_maps(quantised, images[0])["conv1"]
    want = run_float(floating, images[0])["conv1"]
    assert np.abs(got - want).max() <= 2 * quantised.scales["conv1"]
