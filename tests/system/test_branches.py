"""Networks with branches against the golden model: small ones, and published ones scaled down."""

from __future__ import annotations

import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.verify import verify
from penstock.host.inputs.catalog import load_network
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import Network
from penstock.models.networks.scaled_down import scaled_network
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import get_arch
from tests.support.branchnet import branch_images, branch_net
from tests.support.graphgen import random_graph
from tests.support.infer import check_maps, infer_batch, load
from tests.support.netgen import random_codes

# Rows that part widths divide, and rows that they do not.
ARCHES = ("tiny", "lab", "4x8", "6x4", "8x8", "12x32", "32x32")


def check(network: Network, device: str, arch_name: str, *, trace: bool, batch: int = 1) -> None:
    """Compile, check the waits, run two inputs, compare every map that is kept."""
    arch = get_arch(arch_name)
    program = compile_network(network, arch, trace=trace, batch=batch)
    verify(program, arch)
    if trace:
        # Only layers that are never stored as maps are missing.
        assert set(program.outputs) == {name for la in program.layers for name in la.covers}
    with open_device(device, arch) as made:
        buffer = load(made, program)
        for seed in (1, 2):
            codes = random_codes(network, seed)
            for maps in infer_batch(made, program, buffer, [codes] * batch):
                check_maps(maps, network, codes)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("trace", [False, True])
def test_every_way_of_joining_maps(arch: str, trace: bool) -> None:
    check(quantise(branch_net(), branch_images()), "functional", arch, trace=trace)


@pytest.mark.parametrize("first", range(0, 50, 10))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + 10):
        arch = ARCHES[seed % len(ARCHES)]
        print(f"{arch}, seed {seed}")
        batch = 2 if seed % 5 == 0 else 1
        check(random_graph(seed), "functional", arch, trace=seed % 2 == 1, batch=batch)


@pytest.mark.parametrize("arch", ["tiny", "6x4"])
def test_joining_on_rtl(arch: str) -> None:
    check(quantise(branch_net(), branch_images()), "rtl", arch, trace=False)


@pytest.mark.parametrize(
    ("name", "arch"), [("googlenet", "tiny"), ("googlenet", "lab"), ("resnet18", "tiny")]
)
def test_published_networks_scaled_down(name: str, arch: str) -> None:
    check(scaled_network(name), "rtl", arch, trace=False)
    check(scaled_network(name), "functional", arch, trace=True)


@pytest.mark.parametrize("name", ["lenet5", "cifar10-quick"])
def test_small_networks_run_whole(name: str) -> None:
    network = load_network(name)
    arch = get_arch("lab")
    program = compile_network(network, arch, trace=True)
    codes = random_codes(network, 3)
    with (
        open_device("rtl", arch) as device,
        Session(network, program, device, check=True) as session,
    ):
        (result,) = session.run([codes])
    assert result.compared == len(program.outputs)
    assert not result.mismatches
    last = run_quantised(network, codes)[network.layers[-1].name].reshape(-1)
    assert result.top[0].index == int(last.argmax())
