"""The same bytes for any memory timing, tiling, array, and previous runs.

`make soak` runs a thousand inferences in sequence.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_choices, compile_network
from penstock.host.compiler.planning.planner import Choice, plan_network
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.devices.rtl import RtlDevice
from penstock.host.program.program import Program
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch, get_arch
from tests.support.graphgen import random_graph
from tests.support.infer import check_maps, infer, infer_batch, load
from tests.support.netgen import random_codes, random_network
from tests.support.soak import ARRAYS, soak
from tests.support.targets import NETWORKS, random_profile

TINY = get_arch("tiny")


@pytest.mark.parametrize("arch", ARRAYS)
def test_later_inferences_equal_the_first(arch: str) -> None:
    assert soak(arch, 40, 7).total() == 40


def ways(network: Network, arch: Arch, seed: int, count: int) -> list[Program]:
    """Programs of one network that cut its layers differently: candidates taken at random."""
    rng = np.random.default_rng(seed)
    choices = plan_network(network, arch)
    programs: dict[bytes, Program] = {}
    for _ in range(count):
        drawn = [
            Choice((choice.candidates[int(rng.integers(len(choice.candidates)))],))
            for choice in choices
        ]
        program = compile_choices(network, arch, drawn)
        programs[program.image] = program
    return list(programs.values())


@pytest.mark.parametrize("seed", range(6))
def test_any_tiles(seed: int) -> None:
    network = random_graph(seed) if seed % 2 else random_network(seed, size=30)
    codes = random_codes(network, seed)
    programs = ways(network, TINY, seed, 8)
    assert len(programs) > 1
    rng = np.random.default_rng(seed)
    with RtlDevice(TINY, memory_bytes=4 << 20) as device:
        for program in programs:
            device.profile = random_profile(rng)
            buffer = load(device, program, seed)
            check_maps(infer(device, program, buffer, codes), network, codes)
            device.free(buffer)


# Arrays, and buffers that are so small that layers are cut in many bands.
SHAPES = (
    *(get_arch(name) for name in ("tiny", "4x8", "6x4", "8x8", "12x12", "16x16", "2x4", "12x32")),
    replace(TINY, act_words=512, psum_words=32, out_words=256),
    replace(TINY, act_words=1024, psum_words=64, wgt_words=16, drain_lanes=1, lrn_lanes=1),
)


@pytest.mark.parametrize("index", range(len(NETWORKS)))
def test_any_array(index: int) -> None:
    network, options = NETWORKS[index]
    batch = options.get("batch", 1)
    images = [random_codes(network, number) for number in range(batch)]
    first: dict[str, bytes] = {}
    for arch in SHAPES:
        program = compile_network(network, arch, **options)  # type: ignore[arg-type]
        with FunctionalDevice(arch, memory_bytes=4 << 20, poison=index) as device:
            buffer = load(device, program, index)
            found = infer_batch(device, program, buffer, images)
            for name in program.outputs:
                maps = b"".join(maps[name].tobytes() for maps in found)
                assert first.setdefault(name, maps) == maps, (arch, name)
