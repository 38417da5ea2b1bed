"""Networks by name: what has no place on the accelerator yet is named, weights are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from host.catalog import MODELS, load_network
from host.compile import CompileError, compile_network
from models.arch import ARCHES
from models.graph import QConv
from models.lenet import build_lenet5
from models.quantize import quantise
from tests.branchnet import branch_images, branch_net


def test_all_models_are_offered() -> None:
    assert {"alexnet", "nin", "googlenet", "resnet18", "cifar10-quick", "lenet5"} < set(MODELS)


def test_small_networks_by_name() -> None:
    for name in ("lenet5", "cifar10-quick"):
        network = load_network(name)
        assert network.name == name
        assert not network.trained
        assert isinstance(network.layers[0], QConv)


def test_a_layer_without_hardware_is_named() -> None:
    with pytest.raises(CompileError, match="layer inception: the accelerator has no Concat"):
        compile_network(quantise(branch_net(), branch_images()), ARCHES["tiny"])
    with pytest.raises(CompileError, match="layer pool2: the accelerator has no QAveragePool"):
        compile_network(load_network("cifar10-quick"), ARCHES["tiny"])


def test_trained_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        f"{layer.name}.{kind}": rng.normal(0, 0.1, getattr(layer, kind).shape).astype(np.float32)
        for layer in build_lenet5().layers
        for kind in ("weight", "bias")
        if hasattr(layer, kind)
    }
    path = tmp_path / "lenet.npz"
    np.savez(path, **weights)
    network = load_network("lenet5", weights_file=path)
    assert (network.trained, network.source) == (True, str(path))
    del weights["fc3.bias"]
    np.savez(path, **weights)
    with pytest.raises(ValueError, match=r"lenet\.npz: lenet5: weight fc3\.bias is missing"):
        load_network("lenet5", weights_file=path)
