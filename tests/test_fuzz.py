"""Random networks on the RTL against the golden model, under random memory timing.

CI draws `PENSTOCK_FUZZ` networks (default 300, of about two layers each, every third with branches
and more layers); ``make fuzz N=...`` draws more.  Every network is a seed, which a failure names:
``make fuzz N=1 SEED=<seed>`` repeats it.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from host.compile import compile_network
from host.dev_rtl import RtlDevice
from host.device import Device, open_device
from host.rtl_model import Profile
from models.arch import get_arch
from models.graph import Network
from tests.graphgen import random_graph
from tests.infer import check_maps, infer, load
from tests.netgen import random_codes, random_network

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
