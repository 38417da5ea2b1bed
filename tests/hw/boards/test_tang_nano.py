# amaranth: UnusedElaboratable=no
"""The simulated Tang Nano 20K, driven by the host's own back end: LeNet-5 through its port."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import DeviceError
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.host.inputs.catalog import load_network
from penstock.hw.boards.serial_soc import LinkedAccel
from penstock.hw.boards.tang_nano import CLOCK_HZ, MEMORY_BYTES, SHOWN, TangNano
from penstock.hw.boards.tang_nano_top import PINS, constraints
from penstock.hw.memory.block_memory import BlockMemory
from penstock.models.spec.arch import get_arch
from penstock.sim.library.simulated_board import ModelPort
from tests.support.infer import check_maps, infer, load
from tests.support.link_noise import Noise
from tests.support.netgen import random_codes
from tests.support.on_chip_board import new_port
from tests.support.small_network import small_network

ARCH = get_arch("tang-nano-20k")
# As fast as the receiver can, so that a test has few cycles.
FAST = CLOCK_HZ // 4


@pytest.fixture
def port() -> Iterator[ModelPort]:
    port = new_port(TangNano, ARCH, clock_hz=CLOCK_HZ, baud=FAST)
    yield port
    port.close()


def test_lenet5(port: ModelPort) -> None:
    network = load_network("lenet5")
    program = compile_network(network, ARCH)
    rng = np.random.default_rng(7)
    with LinkedDevice(ARCH, port=port, baud=FAST, reply_timeout=0.001) as device:
        assert device.info["memory_bytes"] == MEMORY_BYTES
        buffer = load(device, program)
        counts = []
        for _ in range(2):
            codes = rng.integers(0, 256, network.input.shape, np.uint8)
            check_maps(infer(device, program, buffer, codes), network, codes)
            counts.append(device.counters()["busy"])
        assert counts[0] == counts[1] > 0
        assert device.statistics.retries == 0
        with pytest.raises(DeviceError, match="no 32768 bytes of device memory"):
            device.alloc(MEMORY_BYTES)
        assert not port.model.led >> SHOWN.index("error") & 1


NETWORK = small_network((7, 7), (6, 5), lrn=False)


@pytest.fixture(scope="module")
def answer() -> dict[str, NDArray[np.uint8]]:
    """The answer of `rtl`."""
    program = compile_network(NETWORK, ARCH)
    with RtlDevice(ARCH, memory_bytes=1 << 20) as rtl:
        return infer(rtl, program, load(rtl, program), random_codes(NETWORK, 1))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("direction", ["to_board", "from_board"])
def test_damaged_and_dropped_frames(
    port: ModelPort, answer: dict[str, NDArray[np.uint8]], direction: str, drop: bool
) -> None:
    program = compile_network(NETWORK, ARCH)
    noise = Noise(np.random.default_rng(3), rate=4 if direction == "to_board" else 8, drop=drop)
    with LinkedDevice(ARCH, port=port, baud=FAST, reply_timeout=0.001, retries=40) as device:
        setattr(port, direction, noise)
        maps = infer(device, program, load(device, program), random_codes(NETWORK, 1))
        assert device.statistics.retries >= noise.count // 2
    assert noise.count >= 3
    assert {name: m.tobytes() for name, m in maps.items()} == {
        name: m.tobytes() for name, m in answer.items()
    }


def test_reset_in_the_middle(port: ModelPort, answer: dict[str, NDArray[np.uint8]]) -> None:
    lenet5 = load_network("lenet5")  # the small network would end before the reset
    program = compile_network(lenet5, ARCH)
    device = LinkedDevice(ARCH, port=port, baud=FAST, reply_timeout=0.001)
    buffer = load(device, program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, "close", lambda: None)  # keep the board running
        start = device.csr.start

        def start_and_reset(**values: int) -> None:
            start(**values)
            port.model.run(1000)
            assert port.model.led >> SHOWN.index("busy") & 1
            port.press_reset()

        patch.setattr(device.csr, "start", start_and_reset)
        with pytest.raises(DeviceError, match=r"the board was reset: .* open the device again"):
            infer(device, program, buffer, random_codes(lenet5, 1))
        device.close()
    program = compile_network(NETWORK, ARCH)
    with LinkedDevice(ARCH, port=port, baud=FAST, reply_timeout=0.001) as device:
        maps = infer(device, program, load(device, program), random_codes(NETWORK, 1))
    assert {name: m.tobytes() for name, m in maps.items()} == {
        name: m.tobytes() for name, m in answer.items()
    }


def test_every_pin_has_a_place() -> None:
    text = constraints()
    assert 'IO_LOC "led_n[5]" 20;' in text
    assert 'IO_PORT "rx" IO_TYPE=LVCMOS33 PULL_MODE=UP;' in text
    assert len(PINS["led_n"][0].split()) == len(SHOWN)


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="baud must be from 1 to 13500000, not 0"):
        TangNano(arch=ARCH, baud=0)
    with pytest.raises(ValueError, match="baud must be from 1 to 250, not 251"):
        LinkedAccel(
            arch=ARCH,
            controller=BlockMemory(size=1024),
            memory_bytes=1024,
            clock_hz=1000,
            baud=251,
        )
