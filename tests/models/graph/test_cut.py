"""Layers cut out of a network compute the same as inside it."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.models.golden.ops import run_quantised
from penstock.models.graph.cut import cut_out
from penstock.models.graph.graph import INPUT
from penstock.models.networks.scaled_down import scaled_network

RESNET = scaled_network("resnet18")
CODES = np.random.default_rng(0).integers(0, 256, RESNET.input.shape, np.uint8)
GOLDEN = run_quantised(RESNET, CODES)


def test_every_layer_with_one_input_alone() -> None:
    count = 0
    for layer in RESNET.layers:
        if len(set(layer.inputs)) != 1 or layer.inputs[0] == INPUT:
            continue
        if GOLDEN[layer.inputs[0]].ndim != 3:
            continue
        alone, source = cut_out(RESNET, [layer.name])
        assert source == layer.inputs[0]
        assert [inner.name for inner in alone.layers] == [layer.name]
        got = run_quantised(alone, GOLDEN[source])
        np.testing.assert_array_equal(got[layer.name], GOLDEN[layer.name])
        count += 1
    assert count > 20


def test_the_first_layers_keep_the_networks_input() -> None:
    first = [layer.name for layer in RESNET.layers[:2]]
    alone, source = cut_out(RESNET, first)
    assert source == INPUT
    assert alone.input == RESNET.input
    for name in first:
        np.testing.assert_array_equal(run_quantised(alone, CODES)[name], GOLDEN[name])


def test_what_cannot_stand_alone() -> None:
    add = next(layer for layer in RESNET.layers if len(set(layer.inputs)) == 2)
    with pytest.raises(ValueError, match="reads 2 maps"):
        cut_out(RESNET, [add.name])
    with pytest.raises(ValueError, match="has no layer nowhere"):
        cut_out(RESNET, ["nowhere"])
