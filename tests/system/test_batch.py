"""Batches, and fully connected layers on the array: the same bytes as single images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.compiler.lowering.chains import as_convolution, chains
from penstock.host.compiler.verify import verify
from penstock.host.devices.device import Device
from penstock.host.program.program import Program
from penstock.host.program.tensor_layout import Planes, part_from_json, part_to_json
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import INPUT, ConvGeometry, Network, QFc
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import Arch, get_arch
from tests.support.infer import infer, infer_batch, load
from tests.support.netgen import (
    make_classifier,
    make_conv,
    make_network,
    random_codes,
    random_network,
)
from tests.support.networks import photographs, quantised_alexnet

Codes = NDArray[np.uint8]
SMALL = replace(get_arch("tiny"), name="small", act_words=512, psum_words=32, out_words=256)


def run_batch(device: Device, program: Program, codes: list[Codes]) -> list[dict[str, Codes]]:
    """Run images as one batch; return each one's maps."""
    buffer = load(device, program)
    found = infer_batch(device, program, buffer, codes)
    device.free(buffer)
    return found


def check_batch(device: Device, network: Network, seed: int, *, fc: bool = False) -> None:
    """Compare a batch's maps with those of single runs and with the golden model."""
    arch = device.arch
    batch = 1 + seed % 8
    codes = [random_codes(network, 100 * seed + index) for index in range(batch)]
    program = compile_network(network, arch, batch=batch, trace=seed % 2 == 1, fc=fc)
    assert program.batch == batch
    verify(program, arch)
    single = compile_network(network, arch, trace=seed % 2 == 1, fc=fc)
    buffer = load(device, single)
    for image, maps in zip(codes, run_batch(device, program, codes), strict=True):
        alone = infer(device, single, buffer, image)
        golden = run_quantised(network, image)
        assert set(maps) == set(program.outputs)
        for name, values in maps.items():
            flat = golden[name].reshape(values.shape)
            np.testing.assert_array_equal(values, flat, f"{network.name}: {name}")
            if name in alone:
                np.testing.assert_array_equal(values, alone[name])
    device.free(buffer)


@pytest.mark.parametrize("arch", [get_arch("tiny"), get_arch("6x4"), get_arch("lab"), SMALL])
@pytest.mark.parametrize("first", [0, 10, 20])
def test_random_networks_functional(arch: Arch, first: int) -> None:
    with open_device("functional", arch, poison=first) as device:
        for seed in range(first, first + 10):
            try:
                check_batch(device, random_network(seed), seed)
            except CompileError:
                assert arch is SMALL, f"seed {seed}"


@pytest.mark.parametrize("arch", ["tiny", "lab"])
def test_random_networks_rtl(arch: str) -> None:
    with open_device("rtl", get_arch(arch)) as device:
        for seed in range(30, 42):
            print(f"seed {seed}")
            check_batch(device, random_network(seed), seed)


def test_images_are_computed_together_where_it_pays() -> None:
    rng = np.random.default_rng(2)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    layers = [
        make_conv(rng, "a", INPUT, 16, 64, window),
        make_conv(rng, "b", "a", 64, 256, ConvGeometry(kernel=(1, 1))),
    ]
    network = make_network("together", (7, 7, 16), layers)
    program = compile_network(network, get_arch("lab"), batch=8)
    # Groups of eight would leave more for the drain when the array is done.
    assert program.layers[1].choice.endswith("4 of 8 images together")
    assert program.layers[1].macs == 8 * 7 * 7 * 64 * 256
    convs = [v for op, v in program.descriptors() if op.name == "CONV"]
    assert convs[-1]["more_images"] == 3
    with open_device("functional", get_arch("lab"), poison=1) as device:
        check_batch(device, network, 7)


def test_layout_of_a_batch() -> None:
    planes = Planes(offset=64, rows=4, height=3, width=5, channels=6, images=3)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 3, 5, 6), np.uint8)
    memory = np.zeros(64 + planes.size, np.uint8)
    for index, image in enumerate(images):
        for offset, data in planes.pieces(planes.pack(image), index):
            memory[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(planes.unpack(memory[64:], index), image)
    # Image 2's row 1 in plane 1: its two channels and two zeros at each position.
    start = planes.address(1, 2 * 3 + 1)
    assert memory[start : start + 2].tolist() == images[2, 1, 0, 4:].tolist()
    assert part_from_json(part_to_json(planes)) == planes


def test_only_images_of_the_batch() -> None:
    network = random_network(5)
    program = compile_network(network, get_arch("tiny"), batch=2)
    assert Program.from_bytes(program.to_bytes()) == program
    with pytest.raises(ValueError, match="input has images 0 to 1, not 2"):
        program.pack_input(random_codes(network, 0), 2)
    name, spec = next(iter(program.outputs.items()))
    with pytest.raises(ValueError, match=f"{name} has images 0 to 1, not -1"):
        program.unpack(name, bytes(spec.size), -1)


# Fully connected layers


def test_fully_connected_layers_are_convolutions() -> None:
    network = make_classifier()
    layer = network.layer("fc2")
    assert isinstance(layer, QFc)
    conv = as_convolution(layer, (4, 5, 20))
    assert conv.geometry.kernel == (4, 5)
    # Channel-major in the layer: channel, row, column.
    assert conv.weight[7, 3, 2, 11] == layer.weight[7, 11 * 20 + 3 * 5 + 2]
    assert [c.layers[0].name for c in chains(network, fc=True)] == ["conv1", "fc2", "fc3"]
    assert [c.layers[0].name for c in chains(network)] == ["conv1"]


@pytest.mark.parametrize(
    ("name", "arch"),
    [("functional", "tiny"), ("functional", "12x32"), ("rtl", "tiny"), ("rtl", "lab")],
)
def test_fc_at_batch_32_equals_the_cpu(name: str, arch: str) -> None:
    network = make_classifier()
    target = get_arch(arch)
    codes = [random_codes(network, index) for index in range(32)]
    program = compile_network(network, target, batch=32, fc=True)
    verify(program, target)
    assert set(program.outputs) == {"fc3"}
    plain = compile_network(network, target)
    with open_device(name, target) as device:
        found = run_batch(device, program, codes)
        with Session(network, program, device, check=True) as session:
            array = list(session.run(codes[:33]))
        with Session(network, plain, device) as session:
            cpu = [result.top for result in session.run(codes[:4])]
    for image, maps in zip(codes, found, strict=True):
        np.testing.assert_array_equal(
            maps["fc3"].reshape(-1), run_quantised(network, image)["fc3"].reshape(-1)
        )
    assert not any(result.mismatches for result in array)
    assert [result.top for result in array[:4]] == cpu


def test_sessions_fill_batches_and_finish_the_rest() -> None:
    network = quantise(tiny_net(), tiny_images())
    arch = get_arch("tiny")
    codes = [np.ascontiguousarray(image) for image in tiny_images(count=5, seed=3)]
    answers = []
    with open_device("functional", arch) as device:
        for batch, fc in ((1, False), (2, False), (2, True), (8, True)):
            program = compile_network(network, arch, batch=batch, fc=fc)
            with Session(network, program, device, check=True) as session:
                results = list(session.run(codes))
            assert [result.index for result in results] == [0, 1, 2, 3, 4]
            assert not any(result.mismatches for result in results)
            answers.append([result.top for result in results])
    assert all(answer == answers[0] for answer in answers)


def test_alexnet_with_fc_on_the_array() -> None:
    network = quantised_alexnet()
    arch = get_arch("lab")
    program = compile_network(network, arch, batch=2, fc=True)
    assert list(program.outputs) == ["fc7"]
    assert [layer.name for layer in program.layers][-2:] == ["fc6", "fc7"]
    codes = photographs(network.input)[:2]
    with open_device("functional", arch) as device, Session(network, program, device) as session:
        results = list(session.run(codes))
    for image, result in zip(codes, results, strict=True):
        golden = run_quantised(network, image, stop="fc7")
        np.testing.assert_array_equal(result.maps["fc7"].reshape(-1), golden["fc7"].reshape(-1))
