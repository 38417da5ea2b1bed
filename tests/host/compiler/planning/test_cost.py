"""The cost model against the RTL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import arch_of, predict, time_plan
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.devices.rtl import RtlDevice
from penstock.host.program.program import Program
from penstock.host.timing.latencies import Memory
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool, Network
from penstock.models.spec.arch import get_arch
from tests.support.cost import measure
from tests.support.netgen import full_size_network, make_conv, make_lrn, make_network

# Layers of a few hundred cycles are mostly memory latency and stalled beats, which come at random.
SLACK = 20


def random_layer(seed: int) -> Network:
    """Return a convolution of reasonable size, some with LRN and pooling."""
    rng = np.random.default_rng(seed)
    height, width = (int(rng.integers(6, 40)) for _ in range(2))
    channels = int(rng.choice([1, 3, 4, 16, 24, 32, 48, 64, 96, 128, 192]))
    out_ch = int(rng.choice([8, 16, 24, 32, 48, 64, 96, 128]))
    kernel = min(int(rng.choice([1, 1, 3, 3, 3, 5, 7, 11])), height, width)
    stride = int(rng.choice([1, 1, 1, 2, 3]))
    pad = int(rng.integers(0, kernel // 2 + 1))
    groups = int(rng.choice([1, 1, 1, 2]))
    if channels % groups or out_ch % groups:
        groups = 1
    geometry = ConvGeometry(
        kernel=(kernel, kernel), stride=(stride, stride), pad=(pad,) * 4, groups=groups
    )
    zero = int(rng.integers(0, 256))
    layers: list[Layer] = [make_conv(rng, "conv", INPUT, channels, out_ch, geometry, zero)]
    if rng.random() < 0.3:
        layers.append(make_lrn(rng, "norm", "conv"))
    window = int(rng.integers(2, 4))
    if rng.random() < 0.4 and min(geometry.out_size(height, width)) >= window:
        source = layers[-1].name
        step = int(rng.integers(1, 3))
        layers.append(MaxPool(name="pool", inputs=(source,), kernel=window, stride=step))
    return make_network(f"layer-{seed}", (height, width, channels), layers)


def check(device: RtlDevice, program: Program, network: Network) -> None:
    """Compare every layer's prediction with what the RTL takes."""
    costs = predict(program, device.arch)
    found = measure(device, network, program)
    for cost, got in zip(costs, found, strict=True):
        what = f"{device.arch.name}, {network.name}, {cost.name}: {cost.choice}"
        limit = max(0.02 * got["cycles"], SLACK)
        assert abs(cost.cycles - got["cycles"]) <= limit, f"{what}: {cost}, {got}"
        assert abs(cost.busy - got["busy"]) <= limit, what
        for name, cycles in cost.stalls.items():
            assert abs(cycles - got[f"stall_{name}"]) <= 2.5 * limit, f"{what}: {cost}, {got}"
    total = sum(cost.read_bytes + cost.write_bytes for cost in costs)
    moved = sum(8 * (got["read_beats"] + got["write_beats"]) for got in found)
    assert total == pytest.approx(moved, rel=1e-3), network.name


@pytest.mark.parametrize(
    ("arch", "first", "count"), [("lab", 0, 20), ("8x8", 100, 15), ("12x32", 200, 15)]
)
def test_random_layers_within_two_percent(arch: str, first: int, count: int) -> None:
    with RtlDevice(get_arch(arch)) as device:
        seed = first
        while count:
            network = random_layer(seed)
            program = compile_network(network, get_arch(arch), batch=1 + (seed % 5 == 4))
            if sum(cost.cycles for cost in predict(program, get_arch(arch))) < 60_000:
                print(f"{arch}, seed {seed}")
                check(device, program, network)
                count -= 1
            seed += 1


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("alexnet", "lab"),
        ("alexnet", "12x32"),
        ("alexnet", "8x8"),
        ("nin", "lab"),
        ("nin", "12x32"),
    ],
)
def test_full_size_within_two_percent(name: str, arch: str) -> None:
    network = full_size_network(name)
    with RtlDevice(get_arch(arch)) as device:
        check(device, compile_network(network, get_arch(arch)), network)


def test_memory_is_part_of_the_model() -> None:
    arch = get_arch("lab")
    program = compile_network(random_layer(0), arch)
    usual = predict(program, arch)[0].cycles
    assert predict(program, arch, Memory(latency=400))[0].cycles > usual + 360
    assert predict(program, arch, Memory(rate=0.2))[0].cycles > usual


def test_programs_for_another_arch_are_refused() -> None:
    program = compile_network(random_layer(0), get_arch("lab"))
    with pytest.raises(ValueError, match="the program is for arch lab, not for 8x8"):
        predict(program, get_arch("8x8"))


def test_unknown_arch_has_no_prediction() -> None:
    program = compile_network(random_layer(0), get_arch("lab"))
    assert arch_of(program) == get_arch("lab")
    for wrong in (
        replace(program, arch_name="attic"),
        replace(program, arch_fingerprint=program.arch_fingerprint ^ 1),
    ):
        assert arch_of(wrong) is None


def test_time_of_a_batch_grows_by_what_a_group_takes() -> None:
    arch = get_arch("lab")
    network = full_size_network()
    plan = plan_network(network, arch, batch=6)[3].plan
    assert plan.image_groups == (3, 3)
    twice = replace(plan, image_groups=(3, 3, 3, 3))
    assert time_plan(twice, arch).cycles == pytest.approx(
        2 * time_plan(plan, arch).cycles, rel=0.01
    )
