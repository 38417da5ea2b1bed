"""Networks by name: the list, and checks of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.host.inputs.catalog import MODELS, load_network
from penstock.models.graph.graph import QConv
from penstock.models.networks.lenet import build_lenet5


def test_all_models_are_offered() -> None:
    assert {"alexnet", "nin", "googlenet", "resnet18", "cifar10-quick", "lenet5"} < set(MODELS)


def test_small_networks_by_name() -> None:
    for name in ("lenet5", "cifar10-quick"):
        network = load_network(name)
        assert network.name == name
        assert not network.trained
        assert isinstance(network.layers[0], QConv)


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
