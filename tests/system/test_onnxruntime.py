"""The golden model against onnxruntime, an independent reference: each layer on the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from penstock.models.golden.fixed import MULTIPLIER_BITS
from penstock.models.golden.ops import input_codes, run_layer
from penstock.models.graph.graph import INPUT, InputSpec, Network, QGlobalAveragePool, QLrn
from penstock.models.networks import googlenet, resnet
from penstock.models.networks.lenet import build_cifar10_quick, build_lenet5
from penstock.models.networks.seeded import seeded
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.onnx_export.operator_export import export
from penstock.models.quant.quantize import quantise
from tests.support.branchnet import branch_images, branch_net
from tests.support.networks import photographs, quantised_alexnet, quantised_nin

Maps = dict[str, NDArray[np.generic]]


def judge(network: Network, codes: list[NDArray[np.uint8]], *, optimise: bool = True) -> list[Maps]:
    """Return every feature map (height, width, channels) as onnxruntime computes it."""
    options = onnxruntime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Without it, processors without VNNI add pairs of products in 16 bits, saturating.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        export(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    results = []
    for image in codes:
        outputs = session.run(None, {INPUT: np.ascontiguousarray(image.transpose(2, 0, 1))[None]})
        maps: Maps = {INPUT: image}
        for name, value in zip(names, outputs, strict=True):
            maps[name] = value.reshape(1, 1, -1) if value.ndim == 2 else value[0].transpose(1, 2, 0)
        results.append(maps)
    return results


def compare(network: Network, maps: Maps) -> dict[str, int]:
    """Return each layer's mismatches, with onnxruntime's output of the previous layer as input."""
    counts = {}
    for layer in network.layers:
        want = maps[layer.name].astype(np.int64)
        got = run_layer(layer, *(maps[name] for name in layer.inputs)).astype(np.int64)
        assert got.shape == want.shape
        counts[layer.name] = int((got != want).sum())
        if isinstance(layer, QLrn):
            # A float island: one step at most, and rarely.
            assert np.abs(got - want).max() <= 1, layer.name
            assert counts[layer.name] <= 0.01 * want.size, layer.name
            counts[layer.name] = 0
    return counts


@pytest.mark.parametrize("name", ["alexnet", "nin"])
def test_a_whole_network_equals_onnxruntime(name: str) -> None:
    network = quantised_alexnet() if name == "alexnet" else quantised_nin()
    images = [input_codes(network.input, pixels) for pixels in photographs(network.input)]
    # Noise reaches corners of the arithmetic that photographs do not.
    images.append(np.random.default_rng(0).integers(0, 256, network.input.shape).astype(np.uint8))
    for maps in judge(network, images):
        assert len(maps) == len(network.layers) + 1
        assert compare(network, maps) == {layer.name: 0 for layer in network.layers}


@pytest.mark.parametrize("size", [(6, 6), (7, 7), (12, 10)])
@pytest.mark.parametrize("gain", [1, 4])
@pytest.mark.parametrize("optimise", [True, False])
def test_the_mean_of_every_sum_equals_onnxruntime(
    size: tuple[int, int], gain: int, optimise: bool
) -> None:
    positions = size[0] * size[1]
    sums = np.arange(255 * positions + 1)
    maps = sums // positions + (np.arange(positions)[:, None] < sums % positions)
    shape = (*size, len(sums))
    layer = QGlobalAveragePool(name="mean", inputs=(INPUT,), gain=gain, out_scale=0.5 / gain)
    network = Network(
        name="mean",
        input=InputSpec(shape=shape, resize=max(size), scale=0.5),
        layers=(layer,),
        scales={INPUT: 0.5, "mean": layer.out_scale},
    )
    # As three nodes, and as one that multiplies by a rounded reciprocal.
    (found,) = judge(network, [maps.reshape(shape).astype(np.uint8)], optimise=optimise)
    assert compare(network, found) == {"mean": 0}


@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_tiny_equals_onnxruntime(pad: int, seed: int) -> None:
    network = quantise(tiny_net(seed=seed, pad=pad), tiny_images(seed=seed))
    images = [input_codes(network.input, pixels) for pixels in tiny_images(seed=seed + 9)]
    for maps in judge(network, images):
        assert compare(network, maps) == {layer.name: 0 for layer in network.layers}


@pytest.mark.parametrize("seed", range(3))
def test_branches_equal_onnxruntime(seed: int) -> None:
    network = quantise(branch_net(seed=seed), branch_images(seed=seed))
    images = [input_codes(network.input, pixels) for pixels in branch_images(seed=seed + 9)]
    images.append(np.random.default_rng(seed).integers(0, 256, network.input.shape, np.uint8))
    for maps in judge(network, images):
        assert compare(network, maps) == {layer.name: 0 for layer in network.layers}


@pytest.mark.parametrize(
    "build", [googlenet.build, resnet.build, build_lenet5, build_cifar10_quick]
)
def test_published_networks_equal_onnxruntime(build: Callable[..., Network]) -> None:
    floating = build()
    pixels = photographs(floating.input)
    network = quantise(seeded(floating, pixels), pixels)
    images = [
        input_codes(network.input, pixels[0]),
        np.random.default_rng(0).integers(0, 256, network.input.shape, np.uint8),
    ]
    for maps in judge(network, images):
        assert len(maps) == len(network.layers) + 1
        assert compare(network, maps) == {layer.name: 0 for layer in network.layers}


def test_other_shifts_are_not_exported() -> None:
    network = quantise(tiny_net(), tiny_images())
    first = replace(
        network.layers[0],
        multiplier=network.layers[0].multiplier << MULTIPLIER_BITS - 15,
        shift=network.layers[0].shift + MULTIPLIER_BITS - 15,
    )
    with pytest.raises(ValueError, match="layer conv1: only shifts of 16 are exact"):
        export(replace(network, layers=(first, *network.layers[1:])))
    with pytest.raises(ValueError, match="layer conv1: Conv is not quantised"):
        export(tiny_net())
