"""The functional device against the golden model, and its refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.apps.open_device import device_names, open_device
from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.devices.device import Device, DeviceError
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.devices.functional_engines import Engines
from penstock.host.program.program import Program
from penstock.models.graph.graph import INPUT, ConvGeometry, MaxPool
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, decode, encode
from penstock.models.spec.regs import LOG_FIELDS
from tests.support.infer import check_maps, infer, load
from tests.support.netgen import (
    full_size_network,
    make_conv,
    make_lrn,
    make_network,
    random_codes,
    random_network,
)

ARCHES = {
    **{name: get_arch(name) for name in ("tiny", "4x8", "6x4", "12x32", "lab")},
    "small": replace(get_arch("tiny"), name="small", act_words=512, psum_words=32, out_words=128),
}


@pytest.mark.parametrize("arch", list(ARCHES))
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_networks(arch: str, first: int) -> None:
    for seed in range(first, first + 10):
        network = random_network(seed)
        codes = random_codes(network, seed)
        for trace in (False, True):
            try:
                program = compile_network(network, ARCHES[arch], trace=trace)
            except CompileError:
                assert arch == "small", f"seed {seed}"
                continue
            with open_device("functional", ARCHES[arch], poison=seed) as device:
                maps = infer(device, program, load(device, program, seed), codes)
            check_maps(maps, network, codes)
            assert network.layers[-1].name in maps
            if trace:
                assert set(maps) == {layer.name for layer in network.layers}


@pytest.mark.parametrize("arch", ["lab", "12x32"])
def test_full_size(arch: str) -> None:
    network = full_size_network()
    program = compile_network(network, get_arch(arch), trace=True)
    with open_device("functional", get_arch(arch), poison=1) as device:
        buffer = load(device, program)
        for seed in (1, 2):
            codes = random_codes(network, seed)
            maps = infer(device, program, buffer, codes)
            assert len(maps) == len(network.layers)
            check_maps(maps, network, codes)


def test_branches_and_reused_memory() -> None:
    rng = np.random.default_rng(4)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    layers = [
        make_conv(rng, "a", INPUT, 3, 10, window, 7),
        MaxPool(name="b", inputs=("a",), kernel=3, stride=2),
        make_conv(rng, "c", "a", 10, 6, window),
        make_lrn(rng, "d", "c"),
        MaxPool(name="e", inputs=("c",), kernel=2, stride=1),
        make_conv(rng, "f", "d", 6, 9, window),
        make_conv(rng, "g", "f", 9, 5, window),
        make_conv(rng, "h", "g", 5, 9, window),
        MaxPool(name="i", inputs=(INPUT,), kernel=2, stride=2),
    ]
    network = make_network("branches", (11, 13, 3), layers)
    codes = random_codes(network, 1)
    for arch in ARCHES.values():
        for trace in (False, True):
            program = compile_network(network, arch, trace=trace)
            with open_device("functional", arch, poison=1) as device:
                maps = infer(device, program, load(device, program), codes)
            check_maps(maps, network, codes)
            assert set(maps) >= {"b", "e", "h", "i"}


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(random_network(5), get_arch("tiny"))


@pytest.fixture
def device() -> FunctionalDevice:
    return FunctionalDevice(get_arch("tiny"), memory_bytes=1 << 20)


def test_second_run_equals_the_first(program: Program, device: FunctionalDevice) -> None:
    codes = random_codes(random_network(5), 1)
    buffer = load(device, program)
    first = infer(device, program, buffer, codes)
    infer(device, program, buffer, 255 - codes)
    second = infer(device, program, buffer, codes)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


def test_log(program: Program, device: FunctionalDevice) -> None:
    buffer = load(device, program)
    log = device.run(program, buffer)
    assert len(log.entries) == len(program.layers)
    assert list(log.totals) == [name for name, _ in LOG_FIELDS]
    assert device.counters() == log.totals


def test_other_arch_is_refused(program: Program) -> None:
    lab = get_arch("lab")
    with open_device("functional", lab) as device:
        buffer = device.alloc(program.arena_bytes)
        with pytest.raises(DeviceError, match=r"for arch tiny \(.*\), the device is lab \(16x16"):
            device.run(program, buffer)


def test_small_buffer_is_refused(program: Program, device: FunctionalDevice) -> None:
    with pytest.raises(DeviceError, match="the buffer has 4096"):
        device.run(program, device.alloc(4096))


def _patched(device: Device, program: Program, index: int, **fields: int) -> str:
    """The error of a run in which one descriptor has other fields."""
    buffer = load(device, program)
    start = program.desc_offset + index * DESCRIPTOR_BYTES
    op, values = decode(program.image[start : start + DESCRIPTOR_BYTES])
    device.write(buffer, encode(op, {**values, **fields}), start)
    with pytest.raises(DeviceError) as caught:
        device.run(program, buffer)
    device.free(buffer)
    return str(caught.value)


def test_faulty_descriptors_are_errors(program: Program, device: FunctionalDevice) -> None:
    assert _patched(device, program, 0, wait_conv=1) == (
        "descriptor 0: LOAD waits for 1 CONV, 0 come before it"
    )
    assert "outside the arena" in _patched(device, program, 0, mem=1 << 30)
    assert "outside the arena" in _patched(device, program, 0, mem=4)
    kinds = [op.name for op, _ in program.descriptors()]
    first = {name: kinds.index(name) for name in ("WEIGHTS", "CONV", "DRAIN", "POST")}
    assert "do not hold" in _patched(device, program, first["WEIGHTS"], blocks=1000)
    assert "was begun" in _patched(device, program, first["CONV"], first=0)
    assert "do not fit 256 words" in _patched(device, program, first["CONV"], n_y=1000)
    assert "there are no weights" in _patched(device, program, first["CONV"], n_cb=1000)
    assert "the tile has" in _patched(device, program, first["DRAIN"], count=1)
    assert "are not" in _patched(device, program, first["POST"], row_beats=1000)


def test_unknown_opcode_is_an_error(program: Program, device: FunctionalDevice) -> None:
    buffer = load(device, program)
    device.write(buffer, bytes(DESCRIPTOR_BYTES), program.desc_offset + 2 * DESCRIPTOR_BYTES)
    with pytest.raises(DeviceError, match="descriptor 2: damaged: its checksum is wrong"):
        device.run(program, buffer)


def test_work_after_an_error_is_right(program: Program, device: FunctionalDevice) -> None:
    network = random_network(5)
    codes = random_codes(network, 1)
    _patched(device, program, 0, wait_conv=1)
    maps = infer(device, program, load(device, program), codes)
    check_maps(maps, network, codes)


def test_leftover_weights_are_an_error(program: Program, device: FunctionalDevice) -> None:
    short = replace(program, desc_count=program.desc_count - 4)
    buffer = load(device, program)
    with pytest.raises(DeviceError, match="left over"):
        device.run(short, buffer)


def test_timeout(program: Program, device: FunctionalDevice) -> None:
    buffer = load(device, program)
    with pytest.raises(DeviceError, match=f"no end after 0 s: .* of {program.desc_count}"):
        device.run(program, buffer, timeout=0.0)


def test_memory(device: FunctionalDevice) -> None:
    first, second = device.alloc(10), device.alloc(5000)
    assert (first.offset % 4096, second.offset % 4096) == (0, 0)
    device.write(first, b"0123456789")
    device.write(second, np.arange(10, dtype=np.uint8), 4990)
    assert device.read(first, 2, 3).tobytes() == b"234"
    assert device.read(second, 4999, 1)[0] == 9
    with pytest.raises(DeviceError, match="bytes 8 to 12 are outside a buffer of 10 bytes"):
        device.write(first, bytes(4), 8)
    with pytest.raises(DeviceError, match="outside a buffer"):
        device.read(first, -1, 2)
    with pytest.raises(DeviceError, match="no 2097152 bytes of device memory"):
        device.alloc(1 << 21)
    device.free(first)
    with pytest.raises(DeviceError, match="no buffer at 0"):
        device.free(first)
    assert device.alloc(10) == first


def test_unknown_device() -> None:
    assert "functional" in device_names()
    with pytest.raises(ValueError, match=r"device must be one of .*functional.*, not 'abacus'"):
        open_device("abacus", get_arch("tiny"))


def test_wrong_memory_size() -> None:
    with pytest.raises(ValueError, match="memory_bytes must be at least 4096, not 5"):
        FunctionalDevice(get_arch("tiny"), memory_bytes=5)


def test_buffers_hold_random_bytes_before_a_run_so_that_words_never_loaded_show() -> None:
    engines = Engines(get_arch("tiny"), np.zeros(64, np.uint8))
    for buffer in (engines.act, engines.out, engines.table):
        buffer[...] = 0
    engines.start(0, 64, np.random.default_rng(0))
    for buffer in (engines.act, engines.out, engines.table):
        assert len(np.unique(buffer)) > 250
        assert (buffer == 0).mean() < 0.02
