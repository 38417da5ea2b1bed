"""Layers of AlexNet scaled down, on the whole core in cocotb, against the golden model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.models.graph.graph import Network
from penstock.models.networks.scaled_down import SCALED_LAYERS, scaled_layer
from penstock.models.spec.arch import get_arch
from penstock.sim.bench.runner import BenchError
from penstock.sim.bench.simulate import Simulation, simulate
from tests.support.infer import check_maps, infer, load
from tests.support.netgen import random_codes

ARCH = get_arch("tiny")


def run(network: Network, simulator: str, seed: int = 1, waves: Path | None = None) -> Simulation:
    """Simulate an inference and compare every map with the golden model."""
    program = compile_network(network, ARCH, trace=True)
    codes = random_codes(network, seed)
    arena = np.random.default_rng(seed).integers(0, 256, program.arena_bytes, np.uint8)
    arena[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    for offset, data in program.pack_input(codes):
        arena[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
    result = simulate(
        ARCH,
        arena,
        desc_offset=program.desc_offset,
        desc_count=program.desc_count,
        simulator=simulator,
        seed=seed,
        waves=waves,
    )
    maps = {
        name: program.unpack(name, result.memory[spec.offset : spec.offset + spec.size])
        for name, spec in program.outputs.items()
    }
    assert set(maps) == {layer.name for layer in network.layers}
    check_maps(maps, network, codes)
    assert len(result.entries) == len(program.layers)
    return result


@pytest.mark.parametrize("layer", SCALED_LAYERS)
def test_verilator(layer: str) -> None:
    result = run(scaled_layer(layer), "verilator")
    assert 0 < result.totals["busy"] < result.totals["cycles"]


@pytest.mark.parametrize("layer", ["conv1", "conv5"])
def test_icarus(layer: str) -> None:
    run(scaled_layer(layer), "icarus", seed=2)


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_waves(simulator: str, tmp_path: Path) -> None:
    run(scaled_layer("conv3"), simulator, waves=tmp_path / "waves.fst")
    assert (tmp_path / "waves.fst").stat().st_size > 10_000


@pytest.mark.parametrize("layer", SCALED_LAYERS)
def test_scaled_layers_fit_every_small_arch(layer: str) -> None:
    network = scaled_layer(layer)
    for name in ("tiny", "4x8", "6x4", "lab"):
        arch = get_arch(name)
        program = compile_network(network, arch, trace=True)
        with open_device("functional", arch) as device:
            codes = random_codes(network, 3)
            maps = infer(device, program, load(device, program), codes)
        check_maps(maps, network, codes)
        # Layers that are all zeros would prove little.
        assert all(len(np.unique(values)) > 10 for values in maps.values())


def test_errors_are_reported() -> None:
    arena = np.zeros(4096, np.uint8)
    with pytest.raises(BenchError, match="error BAD_DESCRIPTOR"):
        simulate(ARCH, arena, desc_offset=0, desc_count=1)


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match=r"layer must be one of conv1, .* not 'conv6'"):
        scaled_layer("conv6")
    with pytest.raises(ValueError, match="simulator must be one of verilator, icarus, not 'x'"):
        simulate(ARCH, np.zeros(1, np.uint8), desc_offset=0, desc_count=0, simulator="x")
