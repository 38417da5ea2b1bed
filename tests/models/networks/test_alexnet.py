"""AlexNet's shapes, and seeded weights with useful activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.models.data.labels import class_labels, imagenet_labels
from penstock.models.golden.ops import run_float
from penstock.models.graph.graph import infer_shapes, macs
from penstock.models.networks.alexnet import BVLC, TORCHVISION, build, weight_shapes
from penstock.models.networks.seeded import seeded
from penstock.models.networks.tinynet import tiny_images, tiny_net
from tests.support.networks import alexnet, photographs

WEIGHTED = [f"conv{i}" for i in range(1, 6)] + ["fc6", "fc7", "fc8"]


def zeros(**changes: tuple[int, ...]) -> dict[str, np.ndarray]:
    shapes = {**weight_shapes(BVLC), **changes}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_shapes_and_arithmetic_are_bvlc_alexnets() -> None:
    network = build(zeros())
    names = " ".join(layer.name for layer in network.layers)
    assert names == "conv1 norm1 pool1 conv2 norm2 pool2 conv3 conv4 conv5 pool5 fc6 fc7 fc8"
    shapes = infer_shapes(network)
    want = {
        "input": (227, 227, 3),
        "conv1": (55, 55, 96),
        "pool1": (27, 27, 96),
        "conv2": (27, 27, 256),
        "pool2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 384),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
        "fc6": (1, 1, 4096),
        "fc8": (1, 1, 1000),
    }
    assert {name: shapes[name] for name in want} == want
    counts = macs(network)
    assert [counts[name] for name in WEIGHTED] == [
        105_415_200,
        223_948_800,
        149_520_384,
        112_140_288,
        74_760_192,
        37_748_736,
        16_777_216,
        4_096_000,
    ]
    norms = [network.layer(name) for name in ("norm1", "norm2")]
    assert {(n.size, n.alpha, n.beta, n.k) for n in norms} == {(5, 1e-4, 0.75, 1.0)}


def test_torchvision_variant_ends_in_6x6() -> None:
    shapes = weight_shapes(TORCHVISION)
    weights = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    network = build(weights, variant=TORCHVISION)
    assert infer_shapes(network)["pool5"] == (6, 6, 256)
    assert infer_shapes(network)["conv1"] == (55, 55, 64)
    assert network.input.order == "RGB"


def test_labels_are_imagenets() -> None:
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert labels[0] == "tench"
    assert labels[281] == "tabby"
    assert labels[999] == "toilet tissue"
    assert class_labels(2) == ("class 0", "class 1")
    assert build(zeros()).labels == labels


def test_another_number_of_classes() -> None:
    weights = zeros(**{"fc8.weight": (2, 4096), "fc8.bias": (2,)})
    assert build(weights, labels=("pass", "flag")).labels == ("pass", "flag")
    with pytest.raises(ValueError, match="3 labels for 2 classes"):
        build(weights, labels=("a", "b", "c"))


def test_wrong_weights_are_named() -> None:
    weights = zeros()
    del weights["fc7.bias"]
    with pytest.raises(ValueError, match=r"weight fc7\.bias is missing"):
        build(weights)
    with pytest.raises(ValueError, match=r"conv2\.weight must have shape \(256, 48, 5, 5\), not"):
        build(zeros(**{"conv2.weight": (256, 96, 5, 5)}))


def test_seeded_weights_are_alive_through_all_layers() -> None:
    network = alexnet()
    assert not network.trained
    runs = [run_float(network, image) for image in photographs(network.input)]
    for layer in network.layers:
        maps = np.stack([run[layer.name].reshape(-1) for run in runs])
        alive = (maps > 0).mean(axis=1)
        assert alive.min() > 0.2, layer.name
        if layer.name.startswith(("conv", "fc6", "fc7")):
            assert alive.max() < 0.7, layer.name
            # Almost all channels are active, and no value dominates.
            channels = np.stack([run[layer.name].max(axis=(0, 1)) for run in runs]).max(axis=0)
            assert (channels > 0).mean() > 0.6, layer.name
            assert maps.max() < 60 * maps.mean(), layer.name
        # Differences between images are not small against what they have in common.
        assert (maps - maps.mean(axis=0)).std() > 0.2 * maps.std(), layer.name
    tops = {int(run["fc8"].argmax()) for run in runs}
    assert len(tops) == len(runs)


def test_lrn_has_something_to_do() -> None:
    run = run_float(alexnet(), photographs(alexnet().input)[0])
    for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
        alive = run[conv] > 0
        gain = run[norm][alive] / run[conv][alive]
        assert gain.min() < 0.8
        assert gain.max() > 0.9


def test_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    first, again, other = tiny_net(seed=3), tiny_net(seed=3), tiny_net(seed=4)
    np.testing.assert_array_equal(first.layers[0].weight, again.layers[0].weight)
    assert (first.layers[0].weight != other.layers[0].weight).any()


@pytest.mark.parametrize("count", [1, 2])
def test_equal_or_single_images_still_give_finite_weights(count: int) -> None:
    images = tiny_images(count=1).repeat(count, axis=0)
    network = seeded(tiny_net(), images, seed=1)
    maps = run_float(network, images[0])
    assert all(np.isfinite(values).all() for values in maps.values())
    assert (maps["fc4"] > 0).any()


def test_a_blank_image_gives_finite_weights() -> None:
    network = seeded(tiny_net(), np.zeros((1, 39, 39, 3), np.uint8), seed=1)
    maps = run_float(network, tiny_images()[0])
    assert all(np.isfinite(values).all() for values in maps.values())


def test_seeding_refuses_wrong_images() -> None:
    network = tiny_net()
    for images in (tiny_images()[:0], tiny_images()[0], tiny_images()[:, 1:]):
        with pytest.raises(ValueError, match=r"images must have shape \(n, 39, 39, 3\)"):
            seeded(network, images)


def test_progress_names_every_layer() -> None:
    names: list[str] = []
    network = replace(tiny_net(), name="small")
    seeded(network, tiny_images(), progress=names.append)
    assert names == [layer.name for layer in network.layers]


def test_pools_and_convolutions_are_those_of_the_published_model() -> None:
    # Kernel, stride, padding and groups in Caffe's bvlc_alexnet.
    network = build(zeros())
    for name in ("pool1", "pool2", "pool5"):
        pool = network.layer(name)
        assert (pool.kernel, pool.stride, pool.pad) == (3, 2, (0, 0, 0, 0)), name
    published = {
        "conv1": (11, 4, 0, 1),
        "conv2": (5, 1, 2, 2),
        "conv3": (3, 1, 1, 1),
        "conv4": (3, 1, 1, 2),
        "conv5": (3, 1, 1, 2),
    }
    for name, (kernel, stride, pad, groups) in published.items():
        want = ((kernel,) * 2, (stride,) * 2, (pad,) * 4, groups)
        got = network.layer(name).geometry
        assert (got.kernel, got.stride, got.pad, got.groups) == want, name
