"""The whole compiler: bytes, waits, efficiency, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.compiler.planning.search import bound
from penstock.host.compiler.verify import VerifyError, verify
from penstock.host.program.program import Program
from penstock.models.graph.graph import INPUT, ConvGeometry, QFc, macs
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, ENGINE_WAITS, Op, decode, encode
from tests.support.netgen import full_size_network, make_conv, make_network, random_network

SMALL = replace(get_arch("tiny"), name="small", act_words=512, psum_words=32, out_words=256)


@pytest.mark.parametrize(("arch", "share"), [("lab", 0.997), ("8x8", 0.997), ("12x32", 0.985)])
def test_full_size_ideal_efficiency(arch: str, share: float) -> None:
    """Efficiency of the tiles on an array that never stalls."""
    network = full_size_network()
    plans = [choice.plan for choice in plan_network(network, get_arch(arch))]
    cycles = sum(bound(plan, get_arch(arch)) for plan in plans)
    total = sum(plan.layer.macs for plan in plans)
    assert total == sum(macs(network).values()) == 665784864
    assert total / cycles / get_arch(arch).macs_per_cycle > share


def test_full_size_layers() -> None:
    program = compile_network(full_size_network(), get_arch("lab"))
    assert [layer.covers for layer in program.layers] == [
        ("conv1", "norm1", "pool1"),
        ("conv2", "norm2", "pool2"),
        ("conv3",),
        ("conv4",),
        ("conv5", "pool5"),
    ]
    assert set(program.outputs) == {"pool5"}
    assert program.outputs["pool5"].shape == (6, 6, 256)
    # All of conv3 to conv5 in one band: their weights cross the bus once.
    beats = sum(values["beats"] for op, values in program.descriptors() if op is Op.WEIGHTS)
    assert beats < 340_000


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_descriptors_say_what_they_are_for(seed: int, batch: int) -> None:
    program = compile_network(random_network(seed), get_arch("tiny"), batch=batch)
    assert len(program.parts) == program.desc_count
    layers = [layer.name for layer in program.layers]
    covers = {layer.name: layer.covers for layer in program.layers}
    streams: dict[Op, list[tuple[str, str, dict[str, int]]]] = {op: [] for op in Op}
    for (op, values), (layer, part) in zip(program.descriptors(), program.parts, strict=True):
        streams[op].append((layer, part, values))
        if op is Op.CONV:  # a LOAD that comes a layer early is named by whom it is for
            where = ", ".join(part.split(", ")[1:2] if batch == 1 else part.split(", ")[1:3])
            loaded = streams[Op.LOAD][values["wait_load"] - 1]
            assert loaded[0] == layer and loaded[1].startswith(where), (loaded, part)
        if op is Op.POST:
            assert part.split(" plane ")[0] in covers[layer]
            if values["mark"]:
                assert layer == layers.pop(0)
    assert not layers
    # A tile has one WEIGHTS and one DRAIN; its CONVs, if there are several, say which planes.
    tiles = [(layer, part) for layer, part, _ in streams[Op.WEIGHTS]]
    assert tiles == [(layer, part) for layer, part, _ in streams[Op.DRAIN]]
    begun = [(layer, part) for layer, part, v in streams[Op.CONV] if v["first"]]
    assert len(begun) == len(tiles)
    for (layer, part), (other, whole) in zip(begun, tiles):
        assert layer == other and part.startswith(whole)
    assert Program.from_bytes(program.to_bytes()).parts == program.parts


@pytest.mark.parametrize("arch", ["lab", "12x32"])
@pytest.mark.parametrize("trace", [False, True])
def test_full_size_has_no_race(arch: str, trace: bool) -> None:
    verify(compile_network(full_size_network(), get_arch(arch), trace=trace), get_arch(arch))


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_have_no_race(seed: int) -> None:
    arch = [get_arch("tiny"), get_arch("4x8"), get_arch("6x4"), SMALL][seed % 4]
    for trace in (False, True):
        try:
            program = compile_network(random_network(seed), arch, trace=trace)
        except CompileError:
            assert arch is SMALL
            continue
        verify(program, arch)


def _with_descriptor(program: Program, index: int, **fields: int) -> Program:
    """The program with some fields of one descriptor changed."""
    start = program.desc_offset + index * DESCRIPTOR_BYTES
    op, values = decode(program.image[start : start + DESCRIPTOR_BYTES])
    data = encode(op, {**values, **fields})
    image = program.image[:start] + data + program.image[start + DESCRIPTOR_BYTES :]
    return replace(program, image=image)


def test_verify_finds_missing_waits() -> None:
    """Most waits are needed: without one of them something can go wrong."""
    network = make_network(
        "chain",
        (12, 12, 3),
        [
            make_conv(
                np.random.default_rng(index),
                f"conv{index}",
                f"conv{index - 1}" if index else INPUT,
                8 if index else 3,
                8,
                ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1)),
            )
            for index in range(3)
        ],
    )
    program = compile_network(network, SMALL)
    verify(program, SMALL)
    found = dict.fromkeys(((op, other) for op in Op for other in ENGINE_WAITS[op]), 0)
    for index, (op, values) in enumerate(program.descriptors()):
        for engine in ENGINE_WAITS[op]:
            name = f"wait_{engine.name.lower()}"
            if values[name]:
                try:
                    verify(_with_descriptor(program, index, **{name: 0}), SMALL)
                except VerifyError:
                    found[op, engine] += 1
    needed = {key for key, count in found.items() if count}
    assert needed >= {
        (Op.LOAD, Op.CONV),
        (Op.LOAD, Op.POST),
        (Op.CONV, Op.LOAD),
        (Op.DRAIN, Op.POST),
        (Op.POST, Op.DRAIN),
    }


def test_verify_refuses_waits_for_later_work() -> None:
    program = compile_network(random_network(3), get_arch("tiny"))
    with pytest.raises(VerifyError, match="descriptor 0: LOAD waits for CONV that come later"):
        verify(_with_descriptor(program, 0, wait_conv=1), get_arch("tiny"))


def test_last_post_of_each_layer_is_marked() -> None:
    for seed in range(10):
        program = compile_network(random_network(seed), get_arch("tiny"), trace=True)
        marks = [values["mark"] for op, values in program.descriptors() if op is Op.POST]
        assert sum(marks) == len(program.layers)
        assert marks[-1] == 1


def test_layers_that_do_not_fit_fused_are_done_apart() -> None:
    program = compile_network(full_size_network(), get_arch("tiny"))
    names = [layer.name for layer in program.layers]
    assert names[:3] == ["conv1", "norm1", "pool1"]
    assert sum(layer.macs for layer in program.layers) == 665784864


def test_stops_before_the_first_fully_connected_layer() -> None:
    rng = np.random.default_rng(1)
    conv = make_conv(rng, "conv", INPUT, 3, 4, ConvGeometry(kernel=(3, 3)))
    fc = QFc(
        name="fc",
        inputs=("conv",),
        weight=np.zeros((2, 36), np.int8),
        bias=np.zeros(2, np.int32),
        multiplier=np.ones(2, np.int64),
        shift=np.zeros(2, np.int64),
        out_scale=np.ones(2),
        relu=False,
    )
    network = make_network("with-fc", (5, 5, 3), [conv, fc])
    assert list(compile_network(network, get_arch("tiny")).outputs) == ["conv"]


def test_compiling_twice_gives_equal_programs() -> None:
    made = [compile_network(random_network(8), get_arch("lab")) for _ in range(2)]
    assert made[0].to_bytes() == made[1].to_bytes()


def test_too_many_layers() -> None:
    rng = np.random.default_rng(1)
    layers = [
        make_conv(rng, f"c{i}", f"c{i - 1}" if i else INPUT, 1, 1, ConvGeometry(kernel=(1, 1)))
        for i in range(5)
    ]
    arch = replace(get_arch("tiny"), name="short", log_entries=4)
    with pytest.raises(CompileError, match=r"layer c4: .* 5 hardware layers, .* short holds 4"):
        compile_network(make_network("long", (3, 3, 1), layers), arch)


def test_values_that_do_not_fit_a_field_name_the_layer() -> None:
    conv = make_conv(
        np.random.default_rng(1), "tall", INPUT, 4, 1, ConvGeometry(kernel=(1, 1), stride=(300, 1))
    )
    with pytest.raises(CompileError, match=r"layer tall: CONV.stride_y must be from 0 to 255"):
        compile_network(make_network("tall", (400, 1, 4), [conv]), get_arch("tiny"))


def test_parameters_that_do_not_fit_name_the_layer() -> None:
    conv = make_conv(np.random.default_rng(1), "big", INPUT, 1, 1, ConvGeometry(kernel=(1, 1)))
    wrong = replace(conv, multiplier=np.array([1 << 17]))
    with pytest.raises(CompileError, match="layer big: a multiplier does not fit 17 bits"):
        compile_network(make_network("big", (4, 4, 1), [wrong]), get_arch("tiny"))
