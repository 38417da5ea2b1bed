# amaranth: UnusedElaboratable=no
"""The simulated Tang Nano 20K, driven by the host's own back end: LeNet-5 through its port."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from host.catalog import load_network
from host.compile import compile_network
from host.dev_tang_nano_20k import BAUD as HOST_BAUD
from host.dev_tang_nano_20k import TangNanoDevice
from host.dev_ulx3s import BAUD as ULX3S_BAUD
from host.device import DeviceError
from hw import ulx3s
from hw.block_memory import BlockMemory
from hw.linked import LinkedAccel
from hw.tang_nano import BAUD, CLOCK_HZ, MEMORY_BYTES, SHOWN, TangNano
from hw.tang_nano_top import PINS, constraints
from models.arch import get_arch
from sim.board import BoardModel, ModelPort, Timing, board_library
from tests.infer import check_maps, infer, load

ARCH = get_arch("tang-nano-20k")
# As fast as the receiver can, so that a test has few cycles.
FAST = CLOCK_HZ // 4


@pytest.fixture
def port() -> Iterator[ModelPort]:
    library = board_library(
        lambda: TangNano(arch=ARCH, baud=FAST),
        identity=f"TangNano {ARCH.fingerprint:016x} {FAST}",
        sdram=False,
    )
    model = BoardModel(library, chip=None, timing=Timing(clock_hz=CLOCK_HZ, baud=FAST))
    port = ModelPort(model, clock_hz=CLOCK_HZ)
    yield port
    port.close()


def test_lenet5(port: ModelPort) -> None:
    network = load_network("lenet5")
    program = compile_network(network, ARCH)
    rng = np.random.default_rng(7)
    with TangNanoDevice(ARCH, port=port, baud=FAST, patience=0.001) as device:
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


def test_both_ends_agree() -> None:
    assert (HOST_BAUD, ULX3S_BAUD) == (BAUD, ulx3s.BAUD)


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
