"""The graph builder and the networks made with it."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import (
    INPUT,
    AveragePool,
    Concat,
    Conv,
    InputSpec,
    Lrn,
    MaxPool,
    Network,
    infer_shapes,
    macs,
)
from penstock.models.networks import googlenet, resnet
from penstock.models.networks.lenet import build_cifar10_quick, build_lenet5

SPEC = InputSpec(shape=(8, 8, 3), resize=8)


def weights_of(network: Network) -> dict[str, np.ndarray]:
    return {
        f"{layer.name}.{kind}": np.ones(getattr(layer, kind).shape, np.float32)
        for layer in network.layers
        for kind in ("weight", "bias")
        if hasattr(layer, kind)
    }


def test_googlenet_is_the_published_one() -> None:
    network = googlenet.build()
    shapes = infer_shapes(network)
    assert shapes["conv1/7x7_s2"] == (112, 112, 64)
    assert shapes["pool2/3x3_s2"] == (28, 28, 192)
    published = {
        **{"3a": (28, 256), "3b": (28, 480), "4a": (14, 512), "4b": (14, 512), "4c": (14, 512)},
        **{"4d": (14, 528), "4e": (14, 832), "5a": (7, 832), "5b": (7, 1024)},
    }
    for name, (size, channels) in published.items():
        assert shapes[f"{name}/output"] == (size, size, channels)
    assert shapes["pool5"] == (1, 1, 1024)
    # Szegedy et al. count 1.5 billion; 57 convolutions and a classifier with 6,998,552 parameters.
    assert sum(macs(network).values()) == 1_582_671_872
    assert sum(isinstance(layer, Conv) for layer in network.layers) == 57
    assert sum(array.size for array in weights_of(network).values()) == 6_998_552
    assert sum(isinstance(layer, Lrn) for layer in network.layers) == 2
    assert sum(isinstance(layer, Concat) for layer in network.layers) == 9
    assert sum(isinstance(layer, MaxPool) for layer in network.layers) == 13
    assert len(network.labels) == 1000


def test_googlenet_scales() -> None:
    spec = InputSpec(shape=(96, 96, 3), resize=96)
    network = googlenet.build(spec=spec, width=0.25, classes=2, labels=("plain", "code"))
    shapes = infer_shapes(network)
    assert shapes["5b/output"] == (3, 3, 256)
    assert shapes["loss3/classifier"] == (1, 1, 2)
    assert network.labels == ("plain", "code")
    for width in (0, -1.0):
        with pytest.raises(ValueError, match="width must be a positive number, not"):
            googlenet.build(width=width)
    with pytest.raises(ValueError, match="outputs must be a positive integer, not 0"):
        googlenet.build(classes=0)
    with pytest.raises(ValueError, match="googlenet: layer conv1/7x7_s2: "):
        googlenet.build(spec=InputSpec(shape=(1, 0, 3), resize=8))


def test_resnet_is_the_published_one() -> None:
    network = resnet.build()
    shapes = infer_shapes(network)
    sizes = [shapes[f"layer{i}.1.add"] for i in (1, 2, 3, 4)]
    assert sizes == [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    assert sum(macs(network).values()) == 1_814_073_344
    assert sum(isinstance(layer, Conv) for layer in network.layers) == 20
    # 11,689,512 with the factors and offsets of batch normalisation, which become biases.
    assert sum(array.size for array in weights_of(network).values()) == 11_684_712
    with pytest.raises(ValueError, match="outputs must be a positive integer, not 0"):
        resnet.build(classes=0)


def test_lenet_and_cifar10_quick() -> None:
    lenet = build_lenet5()
    assert infer_shapes(lenet)["pool2"] == (5, 5, 16)
    # LeCun et al. count 60,000, with a sparser third layer.
    assert sum(array.size for array in weights_of(lenet).values()) == 61_706
    cifar = build_cifar10_quick()
    shapes = infer_shapes(cifar)
    assert [shapes[f"pool{i}"] for i in (1, 2, 3)] == [(16, 16, 32), (8, 8, 32), (4, 4, 64)]
    assert cifar.labels[0] == "airplane"
    with pytest.raises(ValueError, match="lenet5: 2 labels for 10 classes"):
        build_lenet5(labels=("a", "b"))


@pytest.mark.parametrize(
    "build", [googlenet.build, resnet.build, build_lenet5, build_cifar10_quick]
)
def test_weights_are_checked(build: object) -> None:
    assert callable(build)
    empty = build()
    weights = weights_of(empty)
    network = build(weights)
    first = network.layers[0]
    assert isinstance(first, Conv)
    assert (first.weight == 1).all()
    name = f"{first.name}.weight"
    with pytest.raises(ValueError, match=f"{network.name}: weight {name} must have shape"):
        build({**weights, name: np.ones(3)})
    del weights[name]
    with pytest.raises(ValueError, match=f"{network.name}: weight {name} is missing"):
        build(weights)


def test_windows_that_are_rounded_up() -> None:
    graph = Builder("net", SPEC)
    pool = graph.max_pool("a", INPUT, 3, 2, ceil=True)
    assert graph.shape(pool) == (4, 4, 3)
    pool = graph.average_pool("b", INPUT, 3, 2)
    assert graph.shape(pool) == (3, 3, 3)
    mean = graph.network().layers[-1]
    assert isinstance(mean, AveragePool)
    assert mean.pad == (0, 0, 0, 0)


def test_what_does_not_fit_is_named() -> None:
    graph = Builder("net", SPEC)
    graph.conv("conv1", INPUT, 4, 3)
    with pytest.raises(ValueError, match="net: layer sum: only two maps of one shape can be added"):
        graph.add("sum", INPUT, "conv1")
    with pytest.raises(ValueError, match="net: layer both: maps of different sizes cannot be"):
        graph.concat("both", INPUT, "conv1")
    with pytest.raises(ValueError, match="net: layer conv2: kernel 9x9 is larger than"):
        graph.conv("conv2", INPUT, 4, 9)
    with pytest.raises(ValueError, match="net: layer conv2: outputs must be a positive integer"):
        graph.conv("conv2", INPUT, 0, 3)
