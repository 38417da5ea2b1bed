"""Groups of maps with one scale, and the encodings a network with branches gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.models.golden.ops import input_codes, run_float, run_quantised
from penstock.models.graph.graph import (
    INPUT,
    Add,
    Concat,
    Conv,
    Fc,
    MaxPool,
    QAdd,
    QAveragePool,
    QConv,
)
from penstock.models.quant.calibrate import Calibration
from penstock.models.quant.quantize import quantise
from penstock.models.quant.scales import group_methods, rectified_maps, scale_groups
from tests.support.branchnet import branch_images, branch_net


def test_concatenation_and_pooling_share() -> None:
    group = scale_groups(branch_net())
    assert {name for name, root in group.items() if root == group["inception"]} == {
        *("a1", "b2", "c2", "inception", "pool")
    }
    assert {name for name, root in group.items() if root == group["mixed"]} == {
        *("sum2", "mean1", "t1", "mixed", "mean2")
    }
    assert group["c1"] == "norm"
    assert group["stem"] == "stem"


def test_what_is_never_negative() -> None:
    network = branch_net()
    signed = {layer.name for layer in network.layers} - rectified_maps(network)
    assert signed == {
        "r1",
        "r2",
        "s1",
        "sum2",
        "mean1",
        "t1",
        "mixed",
        "mean2",
        "signed",
        "fc1",
        "fc2",
    }


def test_groups_have_one_encoding() -> None:
    network = quantise(branch_net(), branch_images())
    group = scale_groups(branch_net())
    for name, root in group.items():
        if name != "fc2":
            assert network.scales[name] == network.scales[root]
            assert network.zeros.get(name) == network.zeros.get(root)
            assert np.log2(network.scales[name]) % 1 == 0
    assert set(network.zeros) == {
        *("r1", "r2", "s1", "sum2", "mean1", "t1", "mixed", "mean2", "signed", "fc1")
    }
    for layer in network.layers:
        if isinstance(layer, QAveragePool):
            assert layer.in_zero == layer.out_zero == network.zeros[layer.name]
        if isinstance(layer, QConv) and any(layer.geometry.pad) and layer.inputs != (INPUT,):
            assert layer.in_zero == network.zeros.get(layer.inputs[0], 0)
    add = network.layer("sum1")
    assert isinstance(add, QAdd)
    assert min(add.weight) == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_quantised_network_follows_the_float_one(seed: int) -> None:
    floating = branch_net(seed=seed)
    network = quantise(floating, branch_images(seed=seed))
    pixels = branch_images(seed=seed)[0]
    want, got = (
        run_float(floating, pixels),
        run_quantised(network, input_codes(network.input, pixels)),
    )
    for name, scale in network.scales.items():
        if name != INPUT:
            real = (got[name].astype(np.float64) - network.zeros.get(name, 0)) * scale
            noise = np.sqrt(np.square(real - want[name]).mean() / np.square(want[name]).mean())
            assert noise < (0.2 if name == "fc1" else 0.09), name


def test_scales_far_apart_still_add() -> None:
    floating = branch_net()
    first = floating.layer("r1")
    assert isinstance(first, Conv)
    faint = replace(first, weight=first.weight / 1000, bias=first.bias / 1000)
    layers = tuple(faint if layer is first else layer for layer in floating.layers)
    network = quantise(replace(floating, layers=layers), branch_images())
    add = network.layer("sum1")
    assert isinstance(add, QAdd)
    assert add.weight == (1, 64)
    assert network.scales["r2"] == 64 * network.scales["r1"]


def test_large_weights_make_outputs_coarser() -> None:
    floating = branch_net()
    first = floating.layer("a1")
    assert isinstance(first, Conv)
    weight = first.weight.copy()
    weight[0, 0] = 1000
    # The calibration images have no such values.
    dead = replace(first, weight=weight, bias=np.where(np.arange(5) == 0, -1e6, first.bias))
    layers = tuple(dead if layer is first else layer for layer in floating.layers)
    network = quantise(replace(floating, layers=layers), branch_images())
    plain = quantise(floating, branch_images())
    for name in ("a1", "b2", "c2", "inception", "pool"):
        assert network.scales[name] > plain.scales[name]
    first = network.layer("a1")
    assert isinstance(first, QConv)
    assert first.multiplier.max() < 1 << 15


def test_methods_of_single_layers() -> None:
    network = branch_net()
    methods = group_methods(network, Calibration(layers={"b2": "minmax", "pool": "minmax"}))
    assert methods["a1"] == "minmax"
    assert methods["stem"] == "mse"
    with pytest.raises(ValueError, match="shares its scale with a1, whose method is minmax, not"):
        group_methods(network, Calibration(layers={"b2": "minmax", "pool": "mse"}))
    with pytest.raises(ValueError, match="branches has no layer 'b9'"):
        group_methods(network, Calibration(layers={"b9": "mse"}))
    coarse = quantise(network, branch_images(), calibration=Calibration(method="minmax"))
    assert all(
        coarse.scales[name] >= scale
        for name, scale in quantise(network, branch_images()).scales.items()
    )


def test_what_cannot_be_joined() -> None:
    network = branch_net()
    layers = list(network.layers[:3])
    linear = replace(layers[2], name="linear", relu=False)
    mixed = Concat(name="mixed", inputs=("a1", "linear"))
    with pytest.raises(ValueError, match=r"mixed \(maps with and without ReLU cannot be joined"):
        quantise(replace(network, layers=(*layers, linear, mixed)), branch_images())
    pool = MaxPool(name="pool", inputs=(INPUT,), kernel=2, stride=2)
    stem = Concat(name="both", inputs=("pool", "stem"))
    with pytest.raises(ValueError, match=r"both \(the network's input cannot be joined"):
        quantise(replace(network, layers=(layers[0], pool, stem)), branch_images())
    spec = replace(network.input, std=(1.0, 2.0, 3.0))
    double = Add(name="twice", inputs=(INPUT, INPUT), relu=False)
    last = Fc(
        name="fc",
        inputs=("twice",),
        weight=np.ones((2, 26 * 23 * 3), np.float32),
        bias=np.ones(2, np.float32),
        relu=False,
    )
    with pytest.raises(ValueError, match="twice: the input, normalised by channel, cannot be"):
        quantise(replace(network, input=spec, layers=(double, last)), branch_images())
