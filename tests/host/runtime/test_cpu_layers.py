"""The CPU layers equal the golden ones, and sums are exact beyond the range of float32."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from penstock.host.runtime.cpu_layers import CpuLayers, top_classes
from penstock.models.golden.ops import run_quantised, scores
from penstock.models.graph.graph import InputSpec, MaxPool, Network, QFc, QGlobalAveragePool, QLrn


def fc(name: str, source: str, weight: np.ndarray, rng: np.random.Generator, relu: bool) -> QFc:
    outputs = len(weight)
    return QFc(
        name=name,
        inputs=(source,),
        weight=weight.astype(np.int8),
        bias=rng.integers(-5000, 5000, outputs).astype(np.int32),
        multiplier=rng.integers(1, 1 << 8, outputs),
        shift=np.full(outputs, 20),
        out_scale=rng.uniform(1e-5, 1e-4, outputs),
        relu=relu,
    )


def network(seed: int = 1, depth: int = 3 * 5 * 7) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        name="fcs",
        input=InputSpec(shape=(3, 5, 7), resize=3),
        layers=(
            fc("fc1", "input", rng.integers(-127, 128, (33, depth)), rng, True),
            fc("fc2", "fc1", rng.integers(-127, 128, (20, 33)), rng, True),
            fc("fc3", "fc2", rng.integers(-127, 128, (10, 20)), rng, False),
        ),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_batch_equals_golden(seed: int) -> None:
    made = network(seed)
    maps = np.random.default_rng(seed).integers(0, 256, (4, 3, 5, 7), np.uint8)
    outputs = CpuLayers(made, "fc1").run(maps)
    for index, image in enumerate(maps):
        golden = run_quantised(made, image)
        for layer, output in zip(made.layers, outputs, strict=True):
            np.testing.assert_array_equal(output[index], golden[layer.name].reshape(-1))
    assert outputs[0].dtype == np.uint8
    assert outputs[-1].dtype == np.int32


def test_sums_beyond_float32_are_exact() -> None:
    # 9216 products as in fc6, all of the largest size: far more than 24 bits.
    rng = np.random.default_rng(3)
    weight = np.where(rng.random((5, 9216)) < 0.9, 127, -127)
    made = Network(
        name="wide",
        input=InputSpec(shape=(6, 6, 256), resize=6),
        layers=(fc("fc", "input", weight, rng, False),),
    )
    image = np.where(rng.random((1, 6, 6, 256)) < 0.9, 255, 254).astype(np.uint8)
    (output,) = CpuLayers(made, "fc").run(image)
    flat = image[0].transpose(2, 0, 1).reshape(-1).astype(np.int64)
    layer = made.layers[0]
    assert isinstance(layer, QFc)
    np.testing.assert_array_equal(output[0], weight @ flat + layer.bias)


def test_scores_and_top() -> None:
    made = network()
    cpu = CpuLayers(made, "fc1")
    logits = cpu.run(np.zeros((2, 3, 5, 7), np.uint8))[-1]
    probabilities = cpu.scores(logits)
    np.testing.assert_array_equal(probabilities, scores(cpu.layers[-1], logits))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert top_classes(np.array([0.1, 0.4, 0.1, 0.4]), 3) == [1, 3, 0]
    assert top_classes(np.array([0.5, 0.5]), 9) == [0, 1]


def test_network_without_fully_connected_layers() -> None:
    pool = MaxPool(name="pool", inputs=("input",), kernel=1, stride=1)
    made = Network(name="n", input=InputSpec(shape=(3, 3, 2), resize=3), layers=(pool,))
    cpu = CpuLayers(made, None)
    assert cpu.in_shape == (3, 3, 2)
    assert cpu.run(np.zeros((1, 3, 3, 2), np.uint8)) == []
    with pytest.raises(ValueError, match="no fully connected or average pooling layers"):
        cpu.scores(np.zeros((1, 1)))


def test_average_of_a_batch_alone_and_before_fully_connected_layers() -> None:
    rng = np.random.default_rng(5)
    mean = QGlobalAveragePool(name="mean", inputs=("input",), gain=4, out_scale=0.25)
    classifier = fc("fc", "mean", rng.integers(-127, 128, (9, 7)), rng, False)
    maps = rng.integers(0, 256, (4, 3, 5, 7), np.uint8)
    for layers in ((mean,), (mean, classifier)):
        made = Network(name="n", input=InputSpec(shape=(3, 5, 7), resize=3), layers=layers)
        cpu = CpuLayers(made, "mean")
        outputs = cpu.run(maps)
        for index, image in enumerate(maps):
            golden = run_quantised(made, image)
            for layer, output in zip(layers, outputs, strict=True):
                np.testing.assert_array_equal(output[index], golden[layer.name].reshape(-1))
        np.testing.assert_allclose(cpu.scores(outputs[-1]).sum(axis=1), 1)
    logits = np.array([[4, 0, 0, 0, 0, 0, 8]], np.uint8)
    # In steps of 0.25: one and two.
    want = np.exp([1.0, 0, 0, 0, 0, 0, 2])
    alone = Network(name="n", input=made.input, layers=(mean,))
    np.testing.assert_allclose(CpuLayers(alone, "mean").scores(logits)[0], want / want.sum())


def test_refusals() -> None:
    made = network()
    with pytest.raises(ValueError, match=r"uint8 maps \(3, 5, 7\), not uint8 \(5, 3, 7\)"):
        CpuLayers(made, "fc1").run(np.zeros((1, 5, 3, 7), np.uint8))
    with pytest.raises(ValueError, match="not int64"):
        CpuLayers(made, "fc1").run(np.zeros((1, 3, 5, 7), np.int64))
    table = np.zeros(256, np.uint16)
    lrn = QLrn(name="norm", inputs=("fc3",), table=table, difference=table, shift=8)
    with_lrn = Network(name="n", input=made.input, layers=(*made.layers, lrn))
    with pytest.raises(ValueError, match="layer fc3: only the last layer"):
        CpuLayers(with_lrn, "fc1")
    rng = np.random.default_rng(1)
    odd = fc("fc2", "input", rng.integers(-9, 9, (4, 105)), rng, False)
    branched = Network(name="n", input=made.input, layers=(made.layers[0], odd))
    with pytest.raises(ValueError, match="layer fc2: the CPU runs chains"):
        CpuLayers(branched, "fc1")
    huge = fc("fc", "input", np.ones((1, 70_000)), rng, False)
    wide = Network(name="n", input=InputSpec(shape=(100, 100, 7), resize=100), layers=(huge,))
    with pytest.raises(ValueError, match="layer fc: its sums may not fit"):
        CpuLayers(wide, "fc")


@pytest.mark.parametrize("images", [1, 8])
def test_memory_is_bounded(images: int) -> None:
    # A board has 512 MB: the weights stay int8, and are widened a few megabytes at a time.
    rng = np.random.default_rng(3)
    outputs, depth = 1024, 8192
    weight = rng.integers(-127, 128, (outputs, depth), np.int8)
    whole = Network(
        name="large",
        input=InputSpec(shape=(8, 8, 128), resize=8),
        layers=(fc("fc", "input", weight, rng, False),),
    )
    layers = CpuLayers(whole, "fc")
    maps = rng.integers(0, 256, (images, 8, 8, 128), np.uint8)
    tracemalloc.start()
    try:
        (logits,) = layers.run(maps)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert logits.shape == (images, outputs)
    # All of them as float32 are 32 MB.
    assert peak < (8 << 20) + images * (1 << 20)
