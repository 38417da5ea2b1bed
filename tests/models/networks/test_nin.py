"""Network in Network: shapes, seeded weights, and the same bytes on a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.inputs.catalog import load_network
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import input_codes, run_float, run_quantised, scores
from penstock.models.graph.graph import QGlobalAveragePool, infer_shapes, macs
from penstock.models.networks.nin import SPEC, build, weight_shapes
from penstock.models.spec.arch import get_arch
from tests.support.networks import nin, photographs, quantised_nin


def zeros(classes: int = 1000) -> dict[str, np.ndarray]:
    return {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in weight_shapes(classes).items()
    }


def test_shapes_and_arithmetic_are_the_model_zoos() -> None:
    network = build(zeros())
    shapes = infer_shapes(network)
    want = {
        "input": (224, 224, 3),
        "conv1": (54, 54, 96),
        "cccp1": (54, 54, 96),
        "cccp2": (54, 54, 96),
        "pool1": (27, 27, 96),  # rounded up: the last window has two rows
        "conv2": (27, 27, 256),
        "cccp3": (27, 27, 256),
        "cccp4": (27, 27, 256),
        "pool2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "cccp5": (13, 13, 384),
        "cccp6": (13, 13, 384),
        "pool3": (6, 6, 384),
        "conv4": (6, 6, 1024),
        "cccp7": (6, 6, 1024),
        "cccp8": (6, 6, 1000),
        "pool4": (1, 1, 1000),
    }
    assert shapes == want
    assert [layer.name for layer in network.layers] == list(want)[1:]
    assert sum(macs(network).values()) == 1_100_188_800
    # The parameters that the paper's network is known for: 7.6 million, 29 MB of floats.
    assert sum(int(np.prod(shape)) for shape in weight_shapes().values()) == 7_595_176


def test_another_number_of_classes() -> None:
    network = build(zeros(2), labels=("pass", "flag"))
    assert infer_shapes(network)["pool4"] == (1, 1, 2)
    assert network.labels == ("pass", "flag")
    assert build(zeros()).labels[281] == "tabby"
    with pytest.raises(ValueError, match="nin: 3 labels for 2 classes"):
        build(zeros(2), labels=("a", "b", "c"))


def test_wrong_weights_are_named() -> None:
    weights = zeros()
    del weights["cccp7.bias"]
    with pytest.raises(ValueError, match=r"nin: weight cccp7\.bias is missing"):
        build(weights)
    with pytest.raises(ValueError, match=r"cccp1\.weight must have shape \(96, 96, 1, 1\), not"):
        build({**zeros(), "cccp1.weight": np.zeros((96, 96, 3, 3), np.float32)})


def test_seeded_weights_are_alive_through_all_layers() -> None:
    network = nin()
    runs = [run_float(network, image) for image in photographs(SPEC)]
    for layer in network.layers:
        maps = np.stack([run[layer.name].reshape(-1) for run in runs])
        assert (maps > 0).mean(axis=1).min() > 0.2, layer.name
        assert maps.max() < 60 * maps.mean(), layer.name
        assert (maps - maps.mean(axis=0)).std() > 0.2 * maps.std(), layer.name
    # Not one answer for every photograph.
    assert len({int(run["pool4"].argmax()) for run in runs}) > 1


def test_quantised_answers_are_the_float_ones() -> None:
    network, quantised = nin(), quantised_nin()
    for pixels in photographs(SPEC):
        want = run_float(network, pixels)["pool4"].reshape(-1)
        got = run_quantised(quantised, input_codes(quantised.input, pixels))["pool4"].reshape(-1)
        # Of a thousand random classes some are nearly equal.
        assert int(got.argmax()) in want.argsort()[-5:]
        error = got * quantised.scales["pool4"] - want
        assert np.abs(error).mean() < 0.15 * want.std()


def test_classified_bit_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, through the compiler; the device computes the last map, the CPU its average."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    network = load_network("nin")
    last = network.layers[-1]
    assert isinstance(last, QGlobalAveragePool)
    arch = get_arch("lab")
    codes = [input_codes(network.input, photographs(SPEC)[0])]
    program = compile_network(network, arch, trace=True)
    assert [layer.name for layer in program.layers] == [
        "conv1", *(f"cccp{i}" for i in (1, 2)),
        "conv2", *(f"cccp{i}" for i in (3, 4)),
        "conv3", *(f"cccp{i}" for i in (5, 6)),
        "conv4", *(f"cccp{i}" for i in (7, 8)),
    ]  # fmt: skip
    with (
        open_device("functional", arch, poison=1) as device,
        Session(network, program, device, check=True) as session,
    ):
        results = list(session.run(codes))
    for image, result in zip(codes, results, strict=True):
        assert result.compared == 15
        assert not result.mismatches
        golden = run_quantised(network, image)["pool4"].reshape(-1)
        probabilities = scores(last, golden)
        assert result.top[0].index == int(golden.argmax())
        assert result.top[0].label == network.labels[int(golden.argmax())]
        assert result.top[0].score == pytest.approx(float(probabilities.max()))
