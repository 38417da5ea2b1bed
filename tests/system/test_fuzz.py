"""Random networks on the RTL against the golden model, under random memory timing.

CI draws `PENSTOCK_FUZZ` networks (default 300, of about two layers each, every third with branches
and more layers); ``make fuzz N=...`` draws more.  Every network is a seed, which a failure names:
``make fuzz N=1 SEED=<seed>`` repeats it.

It also covers cases that random networks do not reach, found with `make coverage`: the largest
values of descriptor fields, and engines that wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Container

import numpy as np
import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Device
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Profile
from penstock.models.golden.fixed import lrn_table
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool, Network, QLrn, Shape
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Op
from tests.support.graphgen import random_graph
from tests.support.infer import check_maps, infer, infer_batch, load
from tests.support.netgen import (
    make_conv,
    make_fc,
    make_network,
    random_codes,
    random_network,
    rng_of,
)

# Two of the arrays are not square, and 6 rows are not a power of two.
ARCHES = ("tiny", "4x8", "6x4")
COUNT = int(os.environ.get("PENSTOCK_FUZZ", "300"))
SEED = int(os.environ.get("PENSTOCK_SEED", "0"))
_CHUNK = 10


def drawn(seed: int) -> Network:
    """The network of a seed."""
    return random_graph(seed) if seed % 3 == 2 else random_network(seed)


def profile(seed: int) -> Profile:
    """A memory that is faster, slower or more irregular than the usual one."""
    rng = np.random.default_rng(seed)
    return Profile(
        latency=int(rng.choice([0, 1, 5, 40, 200])),
        stall_per_mille=int(rng.choice([0, 50, 300, 700])),
        seed=seed,
    )


@pytest.mark.parametrize("first", range(SEED, SEED + COUNT, _CHUNK))
def test_random_networks(first: int) -> None:
    arch = get_arch(ARCHES[first // _CHUNK % len(ARCHES)])
    with RtlDevice(arch) as device:
        for seed in range(first, min(first + _CHUNK, SEED + COUNT)):
            print(f"{arch.name}, seed {seed}")
            network = drawn(seed)
            codes = random_codes(network, seed)
            program = compile_network(network, arch, trace=seed % 2 == 1)
            device.profile = profile(seed)
            buffer = load(device, program, seed)
            check_maps(infer(device, program, buffer, codes), network, codes)
            device.free(buffer)


@pytest.mark.parametrize("name", ["functional", "rtl"])
def test_second_inference_equals_first(name: str) -> None:
    arch = get_arch("tiny")
    network = random_network(5)
    program = compile_network(network, arch, trace=True)
    device: Device
    with open_device(name, arch) as device:
        buffer = load(device, program)
        first = [infer(device, program, buffer, random_codes(network, seed)) for seed in (1, 2, 3)]
        again = [infer(device, program, buffer, random_codes(network, seed)) for seed in (3, 2, 1)]
    for maps, repeated in zip(first, reversed(again)):
        for layer, values in maps.items():
            np.testing.assert_array_equal(values, repeated[layer])


POINT = ConvGeometry(kernel=(1, 1))
WINDOW = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
TALL, WIDE = ConvGeometry(kernel=(255, 1)), ConvGeometry(kernel=(3, 255))
FAR_DOWN = ConvGeometry(kernel=(3, 3), stride=(255, 1))
FAR_RIGHT = ConvGeometry(kernel=(3, 1), stride=(1, 255))


def deep(shape: Shape, geometry: ConvGeometry) -> Network:
    """A convolution of a map that is not the network's input, which may be packed on the host."""
    rng = rng_of(1)
    first = make_conv(rng, "first", INPUT, shape[2], 4, POINT)
    return make_network("deep", shape, [first, make_conv(rng, "a", "first", 4, 5, geometry)])


def shallow(shape: Shape, geometry: ConvGeometry, zero: int = 0, *behind: Layer) -> Network:
    """A convolution of the input, whose zero is `zero`, and layers behind it."""
    conv = make_conv(rng_of(2), "a", INPUT, shape[2], 5, geometry, zero)
    return make_network("shallow", shape, [conv, *behind])


def pooled(kernel: int, stride: int) -> Network:
    """Pooling that leaves rows out, in several bands."""
    pool = MaxPool(name="p", inputs=("a",), kernel=kernel, stride=stride)
    return shallow((40, 20, 3), POINT, 0, pool)


def small_gain() -> Network:
    """An LRN layer whose gain needs the longest shift."""
    layer = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    table, difference, shift = lrn_table(in_scale=2.0**-16, out_scale=1.0, **layer)  # type: ignore[arg-type]
    norm = QLrn(
        name="n",
        inputs=(INPUT,),
        table=table,
        difference=difference,
        shift=shift,
        **layer,  # type: ignore[arg-type]
    )
    return make_network("small gain", (5, 4, 6), [norm])


SEVERAL = range(2, 1 << 16)


@pytest.mark.parametrize(
    ("op", "field", "reached", "network"),
    [
        (Op.LOAD, "wait_conv", SEVERAL, shallow((80, 80, 3), WINDOW)),
        # 45 * 91 words, and one is left.
        (Op.LOAD, "base", (4095,), deep((45, 91, 3), POINT)),
        (Op.DRAIN, "base", (2047,), deep((45, 91, 3), POINT)),
        (Op.POST, "base", (2047,), deep((45, 91, 3), POINT)),
        (Op.CONV, "pad", (1,), shallow((4, 5, 3), WINDOW, 1)),
        (Op.CONV, "pad", (255,), shallow((5, 4, 3), WINDOW, 255)),
        (Op.CONV, "n_ky", (255,), deep((256, 2, 3), TALL)),
        (Op.CONV, "n_kx", (255,), deep((3, 256, 3), WIDE)),
        (Op.CONV, "stride_y", (255,), deep((258, 4, 3), FAR_DOWN)),
        (Op.CONV, "stride_x", (255,), deep((4, 256, 3), FAR_RIGHT)),
        (Op.CONV, "n_x", (256,), shallow((3, 256, 1), POINT)),
        (Op.DRAIN, "count", (256,), shallow((3, 256, 1), POINT)),
        (Op.POST, "stride", (15,), pooled(2, 15)),
        (Op.POST, "y0", SEVERAL, pooled(2, 15)),
        (Op.POST, "y0", SEVERAL, pooled(1, 7)),
        (Op.POST, "lrn_shift", (31,), small_gain()),
    ],
)
def test_edges(op: Op, field: str, reached: Container[int], network: Network) -> None:
    arch = get_arch("tiny")
    program = compile_network(network, arch, trace=True)
    assert any(values[field] in reached for of, values in program.descriptors() if of is op)
    codes = random_codes(network, 1)
    with RtlDevice(arch) as device:
        device.profile = profile(len(field))
        check_maps(infer(device, program, load(device, program), codes), network, codes)


def test_the_first_window_is_over_padding_and_two_bands() -> None:
    # A row of 256 fills a bank, so each of the two is a band.
    pool = MaxPool(name="p", inputs=("a",), kernel=3, stride=2, pad=(1, 1, 0, 1))
    network = shallow((2, 256, 3), POINT, 0, pool)
    arch = get_arch("tiny")
    program = compile_network(network, arch)
    posts = [values for op, values in program.descriptors() if op is Op.POST]
    assert any(values["y0"] < 0 < values["halo_rows"] for values in posts)
    codes = random_codes(network, 1)
    with RtlDevice(arch) as device:
        check_maps(infer(device, program, load(device, program), codes), network, codes)


@pytest.mark.parametrize("images", [3, 256])
def test_images_fill_a_bank(images: int) -> None:
    rng = rng_of(3)
    layers = [
        make_conv(rng, "a", INPUT, 4, 6, POINT),
        make_fc(rng, "b", "a", (3, 6), relu=True),
        make_fc(rng, "c", "b", (3, 3), relu=False),
    ]
    network = make_network("points", (1, 1, 4), layers)
    arch = get_arch("tiny")
    program = compile_network(network, arch, batch=images, fc=True)
    together = [values["more_images"] for op, values in program.descriptors() if op is Op.CONV]
    assert images - 1 in together
    codes = [random_codes(network, index) for index in range(images)]
    with RtlDevice(arch) as device:
        buffer = load(device, program)
        found = infer_batch(device, program, buffer, codes)
        for index, (image, maps) in enumerate(zip(codes, found, strict=True)):
            golden = run_quantised(network, image)
            for name, values in maps.items():
                want = golden[name].reshape(values.shape)
                np.testing.assert_array_equal(values, want, f"image {index}")
