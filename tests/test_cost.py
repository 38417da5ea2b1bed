"""The cost model against the RTL, and what the compiler chooses with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from host.clock import Work
from host.compile import CompileError, compile_choices, compile_network
from host.cost import arch_of, predict, time_plan
from host.dev_rtl import RtlDevice
from host.explain import COST_COLUMNS, cost_rows, explain
from host.planner import plan_network
from host.program import Program
from host.timing import MEMORY, Memory, block_cycles
from host.walk import Walk
from models.arch import get_arch
from models.graph import INPUT, ConvGeometry, Layer, MaxPool, Network
from tests.infer import load
from tests.netgen import full_size_network, make_conv, make_lrn, make_network, random_codes

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


def measure(device: RtlDevice, program: Program, network: Network) -> list[dict[str, int]]:
    """Run a program; return the counters of each layer."""
    buffer = load(device, program)
    for index in range(program.batch):
        for offset, data in program.pack_input(random_codes(network, index), index):
            device.write(buffer, data, offset)
    entries = device.run(program, buffer).entries
    device.free(buffer)
    before = [dict.fromkeys(entries[0], 0), *entries]
    return [{name: now[name] - old[name] for name in now} for old, now in zip(before, entries)]


def check(device: RtlDevice, program: Program, network: Network) -> None:
    """Compare every layer's prediction with what the RTL takes."""
    costs = predict(program, device.arch)
    found = measure(device, program, network)
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


@pytest.mark.parametrize("arch", ["lab", "12x32", "8x8"])
def test_alexnet_within_two_percent(arch: str) -> None:
    network = full_size_network()
    with RtlDevice(get_arch(arch)) as device:
        check(device, compile_network(network, get_arch(arch)), network)


def test_blocks_of_small_tiles_take_the_time_of_the_next_ones() -> None:
    """The shortest period of a block, which `block_cycles` states, is the hardware's."""
    arch = get_arch("lab")
    conv = make_conv(np.random.default_rng(1), "c", INPUT, 256, 16, ConvGeometry(kernel=(3, 3)))
    network = make_network("small", (4, 4, 256), [conv])
    program = compile_network(network, arch)
    with RtlDevice(arch) as device:
        (got,) = measure(device, program, network)
    assert got["busy"] == 144 * 4
    # All but the first and the last block are followed by the next one.
    first = got["cycles"] - 143 * block_cycles(4, arch)
    assert 0 < first < 1500
    (cost,) = predict(program, arch)
    assert abs(cost.cycles - got["cycles"]) < 143


def test_memory_is_part_of_the_model() -> None:
    arch = get_arch("lab")
    program = compile_network(random_layer(0), arch)
    usual = predict(program, arch)[0].cycles
    assert predict(program, arch, Memory(latency=400))[0].cycles > usual + 360
    assert predict(program, arch, Memory(rate=0.2))[0].cycles > usual


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, not 0"):
        Memory(rate=0)
    with pytest.raises(ValueError, match="latency must not be negative, not be -1"):
        Memory(latency=-1)
    program = compile_network(random_layer(0), get_arch("lab"))
    with pytest.raises(ValueError, match="the program is for arch lab, not for 8x8"):
        predict(program, get_arch("8x8"))
    with pytest.raises(ValueError, match="batch must be a positive integer, not 0"):
        compile_network(random_layer(0), get_arch("lab"), batch=0)


def test_a_program_that_hangs_is_found_out() -> None:
    arch = get_arch("lab")
    program = compile_network(random_layer(0), arch)
    descriptors = [(op, v) for op, v in program.descriptors() if op.name != "WEIGHTS"]
    with pytest.raises(ValueError, match="waits for something that never comes"):
        Walk(Work.stream(descriptors), arch, MEMORY).run()


def test_unknown_arch_has_no_prediction() -> None:
    program = compile_network(random_layer(0), get_arch("lab"))
    assert arch_of(program) == get_arch("lab")
    for wrong in (
        replace(program, arch_name="attic"),
        replace(program, arch_fingerprint=program.arch_fingerprint ^ 1),
    ):
        assert arch_of(wrong) is None
        assert cost_rows(wrong) == []


@pytest.mark.parametrize("arch", ["lab", "8x8", "12x32"])
def test_the_plan_taken_is_the_best_of_those_timed(arch: str) -> None:
    for choice in plan_network(full_size_network(), get_arch(arch)):
        best = choice.candidates[0]
        assert best.cost is not None
        for other in choice.candidates[1:]:
            if other.cost is None:
                continue
            assert best.cycles <= other.cycles * 1.0031
            if other.cycles < best.cycles:
                assert best.cost.bytes <= other.cost.bytes


def test_full_size_stays_within_the_bytes_of_the_goal() -> None:
    arch = get_arch("lab")
    program = compile_network(full_size_network(), arch)
    costs = predict(program, arch)
    assert sum(cost.read_bytes + cost.write_bytes for cost in costs) <= 3_600_000
    assert all(cost.efficiency(arch) > 0.96 for cost in costs)
    macs = sum(cost.macs for cost in costs)
    assert macs / sum(cost.cycles for cost in costs) / arch.macs_per_cycle > 0.99


def test_batches_read_weights_once_for_several_images() -> None:
    arch = get_arch("lab")
    network = full_size_network()
    costs = {batch: predict(compile_network(network, arch, batch=batch), arch) for batch in (1, 6)}
    for one, six in zip(costs[1], costs[6], strict=True):
        assert six.cycles < 6 * 1.02 * one.cycles
        if one.name in ("conv3", "conv4", "conv5"):
            assert six.read_bytes < 3 * one.read_bytes
    total = sum(cost.read_bytes + cost.write_bytes for cost in costs[6])
    assert total / 6 < 2_000_000
    # No gap between the images: the array is as good as never idle.
    macs = sum(cost.macs for cost in costs[6])
    assert macs / sum(cost.cycles for cost in costs[6]) / arch.macs_per_cycle > 0.995


def test_layers_are_split_when_that_is_faster() -> None:
    """LRN before a pooling window that overlaps itself normalises every pixel several times."""
    rng = np.random.default_rng(3)
    layers: list[Layer] = [
        make_lrn(rng, "norm", INPUT),
        MaxPool(name="pool", inputs=("norm",), kernel=3, stride=1),
    ]
    network = make_network("again", (30, 30, 16), layers)
    choices = plan_network(network, get_arch("lab"))
    assert [choice.plan.layer.name for choice in choices] == ["norm", "pool"]
    assert choices[0].refused == "its parts are faster one after the other"
    assert "not in one layer" in explain(choices, get_arch("lab"))


def test_explanation_names_what_was_taken() -> None:
    arch = get_arch("lab")
    network = full_size_network()
    choices = plan_network(network, arch)
    text = explain(choices, arch)
    for choice in choices:
        assert f"* {choice.plan}" in text
    assert "direct, bands of" in text
    assert "its parts as layers of their own" in text
    assert "taken: the fewest bytes of those close to the fewest cycles" in text
    program = compile_choices(network, arch, choices)
    rows = cost_rows(program)
    assert {len(row) for row in rows} == {len(COST_COLUMNS)}
    assert [row[0] for row in rows] == ["conv1", "conv2", "conv3", "conv4", "conv5", "total"]
    assert program.layers[0].choice.startswith("row runs, bands of")


def test_plans_that_cannot_be_written_are_refused() -> None:
    conv = make_conv(
        np.random.default_rng(1), "tall", INPUT, 4, 1, ConvGeometry(kernel=(1, 1), stride=(300, 1))
    )
    network = make_network("tall", (400, 1, 4), [conv])
    with pytest.raises(CompileError, match="stride_y must be from 0 to 255"):
        compile_network(network, get_arch("tiny"))


def test_time_of_a_batch_grows_by_what_a_group_takes() -> None:
    arch = get_arch("lab")
    network = full_size_network()
    plan = plan_network(network, arch, batch=6)[3].plan
    assert plan.groups == (3, 3)
    twice = replace(plan, groups=(3, 3, 3, 3))
    source = (13, 13, 384)
    assert time_plan(twice, source, arch).cycles == pytest.approx(
        2 * time_plan(plan, source, arch).cycles, rel=0.01
    )
