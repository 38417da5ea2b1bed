"""The graph: shapes, multiply-accumulates, and refusals of layers that do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penstock.models.graph.graph import (
    INPUT,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Lrn,
    MaxPool,
    Network,
    QConv,
    QFc,
    QGlobalAveragePool,
    ceil_pad,
    infer_shapes,
    macs,
)


def conv(name: str, source: str, shape: tuple[int, int, int, int], **geometry: Any) -> Conv:
    """A convolution with weights (out_ch, in_ch / groups, kh, kw)."""
    return Conv(
        name=name,
        inputs=(source,),
        geometry=ConvGeometry(kernel=shape[2:], **geometry),
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(shape[0], np.float32),
    )


def fc(name: str, source: str, outputs: int, inputs: int) -> Fc:
    return Fc(
        name=name,
        inputs=(source,),
        weight=np.zeros((outputs, inputs), np.float32),
        bias=np.zeros(outputs, np.float32),
    )


NETWORK = Network(
    name="net",
    input=InputSpec(shape=(11, 9, 3), resize=11),
    layers=(
        conv("conv1", INPUT, (8, 3, 3, 2), stride=(2, 1), pad=(1, 0, 1, 1)),
        Lrn(name="norm1", inputs=("conv1",)),
        MaxPool(name="pool1", inputs=("norm1",), kernel=3, stride=2, pad=(0, 0, 0, 1)),
        conv("conv2", "pool1", (6, 4, 1, 1), groups=2),
        fc("fc3", "conv2", 5, 2 * 4 * 6),
    ),
)


def with_layer(layer: Any) -> Network:
    """The network with one layer in the place of the one of that name."""
    layers = tuple(layer if old.name == layer.name else old for old in NETWORK.layers)
    return replace(NETWORK, layers=layers)


def test_shapes() -> None:
    assert infer_shapes(NETWORK) == {
        INPUT: (11, 9, 3),
        "conv1": (6, 9, 8),
        "norm1": (6, 9, 8),
        "pool1": (2, 4, 8),
        "conv2": (2, 4, 6),
        "fc3": (1, 1, 5),
    }


def test_macs_are_those_of_the_loops() -> None:
    assert macs(NETWORK) == {
        "conv1": 6 * 9 * 8 * 3 * 3 * 2,
        "conv2": 2 * 4 * 6 * 4,
        "fc3": 5 * 48,
    }


def test_quantised_layers_have_the_same_shapes() -> None:
    # Their weights are (out_ch, kh, kw, in_ch / groups).
    ones = np.ones(8, np.int64)
    first = QConv(
        name="conv1",
        inputs=(INPUT,),
        geometry=ConvGeometry(kernel=(3, 2), stride=(2, 1), pad=(1, 0, 1, 1)),
        weight=np.zeros((8, 3, 2, 3), np.int8),
        bias=np.zeros(8, np.int32),
        multiplier=ones,
        shift=ones,
    )
    last = QFc(
        name="fc3",
        inputs=("conv2",),
        weight=np.zeros((5, 48), np.int8),
        bias=np.zeros(5, np.int32),
        multiplier=ones[:5],
        shift=ones[:5],
        out_scale=np.ones(5),
    )
    for layer in (first, last):
        assert infer_shapes(with_layer(layer)) == infer_shapes(NETWORK)
        assert macs(with_layer(layer)) == macs(NETWORK)


@pytest.mark.parametrize("seed", range(3))
def test_out_size_counts_the_windows(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(100):
        size, kernel = rng.integers(1, 20, 2), rng.integers(1, 12, 2)
        stride, pad = rng.integers(1, 5, 2), rng.integers(0, 4, 4)
        spans = [size[0] + pad[0] + pad[2], size[1] + pad[1] + pad[3]]
        geometry = ConvGeometry(
            kernel=tuple(kernel.tolist()),
            stride=tuple(stride.tolist()),
            pad=tuple(pad.tolist()),
        )
        windows = tuple(
            sum(
                start + kernel[axis] <= spans[axis] for start in range(0, spans[axis], stride[axis])
            )
            for axis in range(2)
        )
        if 0 in windows:
            message = f"kernel {kernel[0]}x{kernel[1]} is larger than .* {spans[0]}x{spans[1]}"
            with pytest.raises(ValueError, match=message):
                geometry.out_size(*size.tolist())
        else:
            assert geometry.out_size(*size.tolist()) == windows


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            conv("conv1", INPUT, (8, 4, 3, 3)),
            "layer conv1: weights for 4 input and 8 output channels in 1 groups do not fit an "
            "input of 3 channels",
        ),
        (
            conv("conv2", "pool1", (5, 4, 1, 1), groups=2),
            "layer conv2: weights for 8 input and 5 output channels in 2 groups",
        ),
        (
            conv("conv2", "pool1", (6, 8, 3, 3)),
            "layer conv2: kernel 3x3 is larger than the padded input 2x4",
        ),
        (
            MaxPool(name="pool1", inputs=("norm1",), kernel=7, stride=1),
            "layer pool1: kernel 7x7 is larger than the padded input 6x9",
        ),
        (fc("fc3", "conv2", 5, 47), "layer fc3: weights for 47 inputs do not fit 2x4x6"),
        (fc("fc3", "pool9", 5, 48), "layer fc3: no layer called 'pool9'"),
        (Lrn(name="norm1", inputs=("pool1",)), "layer norm1: no layer called 'pool1'"),
    ],
)
def test_layers_that_do_not_fit(layer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        infer_shapes(with_layer(layer))


def test_layer_by_name() -> None:
    assert NETWORK.layer("norm1") is NETWORK.layers[1]
    message = "net has no layer 'conv9'; it has conv1, norm1, pool1, conv2, fc3"
    with pytest.raises(ValueError, match=message):
        NETWORK.layer("conv9")


@pytest.mark.parametrize(
    ("size", "kernel", "pad", "want"),
    [
        ((54, 55), 3, (0, 0, 0, 0), (0, 0, 1, 0)),
        ((13, 14), 2, (0, 0, 0, 0), (0, 0, 1, 0)),
        # A third window would begin in the padding: left out, which leaves the padding as it is.
        ((3, 3), 2, (1, 0, 1, 1), (1, 0, 1, 1)),
        ((6, 6), 3, (1, 1, 1, 1), (1, 1, 2, 2)),
        ((6, 6), 3, (0, 0, 2, 0), (0, 0, 2, 1)),
    ],
)
def test_ceil_pad_lets_windows_reach_the_end(
    size: tuple[int, int],
    kernel: int,
    pad: tuple[int, int, int, int],
    want: tuple[int, int, int, int],
) -> None:
    assert ceil_pad(size, kernel, 2, pad) == want


def test_global_average_leaves_one_position() -> None:
    mean = GlobalAveragePool(name="mean", inputs=("conv2",))
    network = replace(NETWORK, layers=(*NETWORK.layers[:-1], mean))
    assert infer_shapes(network)["mean"] == (1, 1, 6)
    assert "mean" not in macs(network)
    with pytest.raises(ValueError, match="gain must be a positive integer, not 0"):
        QGlobalAveragePool(name="mean", inputs=(INPUT,), gain=0, out_scale=1.0)


def test_pool_has_the_geometry_of_a_convolution() -> None:
    pool = MaxPool(name="pool", inputs=(INPUT,), kernel=3, stride=2, pad=(1, 2, 3, 4))
    assert pool.geometry == ConvGeometry(kernel=(3, 3), stride=(2, 2), pad=(1, 2, 3, 4))
