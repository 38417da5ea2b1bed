"""The simulated ULX3S, driven by the host's own back end: the same bytes as `rtl`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from host.compile import compile_network
from host.dev_rtl import RtlDevice
from host.dev_ulx3s import Ulx3sDevice
from host.program import Program
from hw.sdram_chip import ULX3S_SDRAM
from hw.ulx3s import CLOCK_HZ, Ulx3s
from models.arch import get_arch
from models.graph import INPUT, ConvGeometry, MaxPool, Network
from sim.board import BoardModel, PtyBoard, Timing, board_library
from tests.infer import check_maps, infer, load
from tests.netgen import make_conv, make_lrn, make_network, random_codes

ARCH = get_arch("tiny")
# As fast as the receiver can, so that a test has few cycles.
BAUD = CLOCK_HZ // 4


def build_network() -> Network:
    rng = np.random.default_rng(5)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    return make_network(
        "small",
        (13, 11, 3),
        [
            make_conv(rng, "a", INPUT, 3, 10, window, 7),
            make_lrn(rng, "n", "a"),
            MaxPool(name="p", inputs=("n",), kernel=3, stride=2),
            make_conv(rng, "b", "p", 10, 6, window),
        ],
    )


NETWORK = build_network()


@pytest.fixture(scope="module")
def library() -> Path:
    return board_library(
        lambda: Ulx3s(arch=ARCH, baud=BAUD), identity=f"Ulx3s {ARCH.fingerprint:016x} {BAUD}"
    )


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(NETWORK, ARCH)


@pytest.fixture
def board(library: Path) -> Iterator[PtyBoard]:
    model = BoardModel(library, chip=ULX3S_SDRAM, timing=Timing(clock_hz=CLOCK_HZ, baud=BAUD))
    with PtyBoard(model) as board:
        yield board


def connect(board: PtyBoard, **options: float) -> Ulx3sDevice:
    # The simulated clock is slower than the one on the wall.
    return Ulx3sDevice(ARCH, port=board.port, patience=2.0, **options)


def test_inference(board: PtyBoard, program: Program) -> None:
    codes = random_codes(NETWORK, 1)
    with connect(board) as device:
        buffer = load(device, program)
        maps = infer(device, program, buffer, codes)
        print(device.statistics, device.info, device.counters())
    check_maps(maps, NETWORK, codes)
    with RtlDevice(ARCH, memory_bytes=16 << 20) as rtl:
        buffer = load(rtl, program)
        expected = infer(rtl, program, buffer, codes)
    for name, values in expected.items():
        assert maps[name].tobytes() == values.tobytes()
