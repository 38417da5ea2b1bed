"""Seeded networks are the same, bit for bit, on every machine: `make test-board` runs this too."""

from __future__ import annotations

import pytest

from penstock.host.inputs.catalog import load_network
from penstock.models.graph.store import digest
from penstock.models.networks.scaled_down import scaled_layer, scaled_network
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise


def test_float_weights() -> None:
    assert tiny_net().source == "random weights, seed 0: the labels mean nothing"
    assert digest(tiny_net())[:16] == "03515755f173e4da"
    assert digest(tiny_net(seed=1)) != digest(tiny_net())


def test_quantised_tiny() -> None:
    assert digest(quantise(tiny_net(), tiny_images()))[:16] == "db19670fdbcdca16"


@pytest.mark.parametrize(
    ("name", "want"),
    [("conv1", "293202f85f086bdc"), ("conv3", "f199d0bab1cf15a6"), ("conv5", "7c7a4d1cc778368a")],
)
def test_quantised_layers(name: str, want: str) -> None:
    assert digest(scaled_layer(name))[:16] == want


@pytest.mark.parametrize(
    ("name", "want"), [("googlenet", "dd5bbaaca426aee3"), ("resnet18", "b4227fea7314ca92")]
)
def test_quantised_networks_with_branches(name: str, want: str) -> None:
    """Joined scales, sums, averages, zero points."""
    assert digest(scaled_network(name))[:16] == want


def test_a_network_by_name_on_the_shipped_photographs() -> None:
    assert digest(load_network("cifar10-quick"))[:16] == "2d8aebd3ced56184"
