"""Random small quantised networks, for the property tests of all back ends.

`random_network(seed)` gives a chain of one to three layer groups, each a convolution with optional
LRN and max pooling, or pooling or LRN alone.  Equal seeds give equal networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.fixed import lrn_table
from penstock.models.graph.graph import (
    INPUT,
    Conv,
    ConvGeometry,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    QConv,
    QFc,
    QLrn,
    Shape,
)
from penstock.models.networks import alexnet, nin

__all__ = [
    "full_size_network",
    "make_classifier",
    "make_conv",
    "make_fc",
    "make_lrn",
    "make_network",
    "random_codes",
    "random_network",
    "rng_of",
]


def rng_of(seed: int) -> np.random.Generator:
    """Return a generator of random numbers."""
    return np.random.default_rng(seed)


def make_conv(
    rng: np.random.Generator,
    name: str,
    source: str,
    in_ch: int,
    out_ch: int,
    geometry: ConvGeometry,
    in_zero: int = 0,
) -> QConv:
    """Return a convolution whose random outputs use the whole range of codes."""
    depth = in_ch // geometry.groups
    kernel_h, kernel_w = geometry.kernel
    weight = rng.integers(-127, 128, (out_ch, kernel_h, kernel_w, depth)).astype(np.int8)
    taps = max(depth * kernel_h * kernel_w, 1)
    spread = 75.0 * 147.0 * np.sqrt(taps)
    shift = rng.integers(14, 24, out_ch)
    multiplier = np.clip(np.rint(90.0 / spread * 2.0**shift), 1, (1 << 17) - 1).astype(np.int64)
    bias = rng.normal(0, spread / 2, out_ch)
    # Codes are about 127 on average: subtract the mean, so that half the outputs are positive.
    bias -= 127.5 * weight.reshape(out_ch, -1).astype(np.float64).sum(axis=1)
    return QConv(
        name=name,
        inputs=(source,),
        geometry=geometry,
        weight=weight,
        bias=np.rint(bias).astype(np.int32),
        multiplier=multiplier,
        shift=shift.astype(np.int64),
        in_zero=in_zero,
    )


def make_lrn(rng: np.random.Generator, name: str, source: str) -> QLrn:
    """Return an LRN layer with a random table."""
    in_scale, out_scale = 2.0 ** rng.integers(-3, 3), 2.0 ** rng.integers(-4, 0)
    parameters = {"size": 5, "alpha": float(rng.choice([1e-4, 1e-2])), "beta": 0.75, "k": 1.0}
    table, difference, shift = lrn_table(in_scale=in_scale, out_scale=out_scale, **parameters)
    return QLrn(
        name=name,
        inputs=(source,),
        table=table,
        difference=difference,
        shift=shift,
        **parameters,
    )


def make_network(name: str, shape: Shape, layers: list[Layer]) -> Network:
    """Return a network of these layers for inputs of `shape`."""
    return Network(name=name, input=InputSpec(shape=shape, resize=max(shape)), layers=tuple(layers))


def random_codes(network: Network, seed: int) -> NDArray[np.uint8]:
    """Return a random input for a network."""
    return np.random.default_rng(seed).integers(0, 256, network.input.shape, np.uint8)


def _geometry(rng: np.random.Generator, shape: Shape, largest: int) -> ConvGeometry:
    """A random window that fits a map of `shape`."""
    height, width, channels = shape
    pads, kernels = [], []
    for size in (height, width):
        kernel = int(rng.integers(1, largest + 1))
        if rng.random() < 0.4:
            kernel = int(rng.choice([1, 3]))
        low, high = (int(rng.integers(0, kernel)) for _ in range(2))
        if rng.random() < 0.3:
            low = high = 0
        kernels.append(min(kernel, size + low + high))
        pads.append((low, high))
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    groups = int(rng.choice(divisors)) if rng.random() < 0.4 else 1
    return ConvGeometry(
        kernel=(kernels[0], kernels[1]),
        stride=(int(rng.integers(1, 5)), int(rng.integers(1, 5))),
        pad=(pads[0][0], pads[1][0], pads[0][1], pads[1][1]),
        groups=groups,
    )


def _pool(rng: np.random.Generator, name: str, source: str, shape: Shape) -> MaxPool | None:
    kernel = int(rng.integers(2, 4))
    pad = tuple(int(p) for p in rng.integers(0, kernel, 4)) if rng.random() < 0.5 else (0, 0, 0, 0)
    layer = MaxPool(
        name=name, inputs=(source,), kernel=kernel, stride=int(rng.integers(1, 3)), pad=pad
    )
    try:
        layer.geometry.out_size(shape[0], shape[1])
    except ValueError:
        return None
    return layer


def random_network(
    seed: int, *, size: int = 20, channels: int = 20, largest_kernel: int = 11, groups: int = 3
) -> Network:
    """Return a random network.

    Parameters
    ----------
    seed : int
    size : int
        Most rows and columns of the input.
    channels : int
        Most channels of any map.
    largest_kernel : int
        Of convolutions.
    groups : int
        Most layer groups in the chain.
    """
    rng = np.random.default_rng(seed)
    shape: Shape = (
        int(rng.integers(1, size + 1)),
        int(rng.integers(1, size + 1)),
        int(rng.integers(1, 5) if rng.random() < 0.5 else rng.integers(1, channels + 1)),
    )
    source, layers = INPUT, []
    current = shape
    zero = int(rng.integers(0, 256)) if rng.random() < 0.5 else 0
    for index in range(1, int(rng.integers(1, groups + 1)) + 1):
        alone = rng.random() < 0.15
        if not alone:
            geometry = _geometry(rng, current, largest_kernel)
            step = geometry.groups
            out_ch = step * int(rng.integers(1, max(channels // step, 1) + 1))
            conv = make_conv(
                rng,
                f"conv{index}",
                source,
                current[2],
                out_ch,
                geometry,
                zero if source == INPUT else 0,
            )
            layers.append(conv)
            source = conv.name
            current = (*geometry.out_size(current[0], current[1]), out_ch)
        if rng.random() < (0.6 if alone else 0.4):
            layers.append(make_lrn(rng, f"norm{index}", source))
            source = layers[-1].name
        if alone or rng.random() < 0.5:
            pool = _pool(rng, f"pool{index}", source, current)
            if pool is not None:
                layers.append(pool)
                source = pool.name
                current = (*pool.geometry.out_size(current[0], current[1]), current[2])
    if not layers:
        layers.append(make_lrn(rng, "norm", source))
    return make_network(f"random-{seed}", shape, layers)


def full_size_network(name: str = "alexnet", seed: int = 1) -> Network:
    """Return a network with the shapes of a published one's array layers and random weights.

    Parameters
    ----------
    name : str
        ``alexnet`` (BVLC's) or ``nin``.
    seed : int
    """
    published = (nin if name == "nin" else alexnet).build()
    rng = rng_of(seed)
    layers: list[Layer] = []
    for layer in published.layers:
        if isinstance(layer, Conv):
            out_ch, depth = layer.weight.shape[:2]
            channels = depth * layer.geometry.groups
            source = layer.inputs[0]
            zero = 113 if source == INPUT else 0
            layers.append(
                make_conv(rng, layer.name, source, channels, out_ch, layer.geometry, zero)
            )
        elif isinstance(layer, Lrn):
            layers.append(make_lrn(rng, layer.name, layer.inputs[0]))
        elif isinstance(layer, MaxPool):
            layers.append(layer)
    return make_network(f"full-size {name}", published.input.shape, layers)


def make_fc(
    rng: np.random.Generator, name: str, source: str, size: tuple[int, int], *, relu: bool
) -> QFc:
    """Return a fully connected layer (outputs, inputs) whose outputs use the range of codes."""
    outputs, inputs = size
    conv = make_conv(rng, name, source, inputs, outputs, ConvGeometry(kernel=(1, 1)))
    return QFc(
        name=name,
        inputs=(source,),
        weight=conv.weight.reshape(size),
        bias=conv.bias,
        multiplier=conv.multiplier,
        shift=conv.shift,
        out_scale=np.ones(outputs),
        relu=relu,
    )


def make_classifier(seed: int = 1) -> Network:
    """Return a small network with three fully connected layers."""
    rng = rng_of(seed)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    return make_network(
        "classifier",
        (8, 10, 3),
        [
            make_conv(rng, "conv1", INPUT, 3, 20, window, 7),
            MaxPool(name="pool1", inputs=("conv1",), kernel=2, stride=2),
            make_fc(rng, "fc2", "pool1", (50, 400), relu=True),
            make_fc(rng, "fc3", "fc2", (30, 50), relu=True),
            make_fc(rng, "fc4", "fc3", (10, 30), relu=False),
        ],
    )
