"""The simulated ULX3S, driven by the host's own back end: equal to `rtl` even with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, Device, DeviceError
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.host.program.program import Program
from penstock.hw.boards.serial_soc import LEDS
from penstock.models.spec.arch import get_arch
from penstock.models.spec.link_frames import FLAG
from penstock.sim.library.simulated_board import ModelPort, PtyBoard
from tests.support.infer import infer
from tests.support.link_noise import Noise
from tests.support.netgen import random_codes
from tests.support.small_network import small_network
from tests.support.ulx3s_board import ARCH, BAUD, new_model, new_port

Maps = dict[str, NDArray[np.uint8]]

# Seconds of simulated time.
REPLY_TIMEOUT = 0.001


NETWORK = small_network((7, 7), (6, 5))


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(NETWORK, ARCH)


@pytest.fixture(scope="module")
def answers(program: Program) -> Callable[[int], Maps]:
    """The answer of `rtl` for a seed's input."""
    known: dict[int, Maps] = {}

    def answer(seed: int) -> Maps:
        if seed not in known:
            with RtlDevice(ARCH, memory_bytes=16 << 20) as rtl:
                buffer = rtl.alloc(program.arena_bytes)
                rtl.write(buffer, program.image)
                known[seed] = infer(rtl, program, buffer, codes(seed))
        return known[seed]

    return answer


def codes(seed: int) -> NDArray[np.uint8]:
    return random_codes(NETWORK, seed)


@pytest.fixture
def port() -> Iterator[ModelPort]:
    port = new_port()
    # Memory that a program does not write must not matter.
    port.model.memory[: 1 << 20] = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)
    yield port
    port.close()


def connect(port: ModelPort, **options: int) -> LinkedDevice:
    return LinkedDevice(ARCH, port=port, baud=BAUD, reply_timeout=REPLY_TIMEOUT, **options)


def load(device: Device, program: Program) -> Buffer:
    buffer = device.alloc(program.arena_bytes)
    device.write(buffer, program.image)
    return buffer


def same(maps: Maps, expected: Maps) -> None:
    assert {name: values.tobytes() for name, values in maps.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }


def led(port: ModelPort, name: str) -> bool:
    return bool(port.model.led >> LEDS.index(name) & 1)


def test_through_a_terminal(program: Program, answers: Callable[[int], Maps]) -> None:
    # The complete path: pyserial, the terminal, the UART's bits, the SDRAM's pins.
    with (
        PtyBoard(new_model()) as board,
        open_device("ulx3s", ARCH, port=board.port, reply_timeout=5.0) as device,
    ):
        same(infer(device, program, load(device, program), codes(1)), answers(1))


def test_second_run_equals_the_first(
    port: ModelPort, program: Program, answers: Callable[[int], Maps]
) -> None:
    assert not led(port, "host")
    with connect(port) as device:
        assert device.info["memory_bytes"] == 32 << 20
        buffer = load(device, program)
        logs = []
        for seed in (1, 2, 1):
            same(infer(device, program, buffer, codes(seed)), answers(seed))
            logs.append(device.counters())
        assert logs[0]["busy"] == logs[1]["busy"] == logs[2]["busy"] > 0
        assert device.statistics.retries == device.statistics.damaged == 0
        for name in ("memory", "host", "receiving", "sending"):
            assert led(port, name), name
        for name in ("busy", "error", "damaged"):
            assert not led(port, name), name


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("direction", ["to_board", "from_board"])
def test_damaged_and_dropped_frames(
    port: ModelPort,
    program: Program,
    answers: Callable[[int], Maps],
    direction: str,
    drop: bool,
) -> None:
    # The board is sent whole frames; its own arrive in parts.
    noise = Noise(np.random.default_rng(3), rate=4 if direction == "to_board" else 8, drop=drop)
    with connect(port, retries=40) as device:
        setattr(port, direction, noise)
        same(infer(device, program, load(device, program), codes(1)), answers(1))
        assert noise.count >= 3
        assert device.statistics.retries >= noise.count // 2


def test_reset_in_the_middle(
    port: ModelPort, program: Program, answers: Callable[[int], Maps]
) -> None:
    device = connect(port)
    buffer = load(device, program)
    with pytest.MonkeyPatch.context() as patch:
        # Closing the port must not close the board.
        patch.setattr(port, "close", lambda: None)
        start = device.csr.start

        def start_and_reset(**values: int) -> None:
            start(**values)
            port.model.run(1000)
            assert led(port, "busy")
            port.press_reset()

        patch.setattr(device.csr, "start", start_and_reset)
        with pytest.raises(DeviceError, match=r"the board was reset: .* open the device again"):
            infer(device, program, buffer, codes(1))
        # No answer is accepted that was not computed.
        with pytest.raises(DeviceError, match="the board was reset"):
            device.read(buffer, 0, 8)
        device.close()
    with connect(port) as device:
        same(infer(device, program, load(device, program), codes(1)), answers(1))


def test_reset_while_writing(
    port: ModelPort, program: Program, answers: Callable[[int], Maps]
) -> None:
    device = connect(port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, "close", lambda: None)
        sent = 0

        def reset(data: bytes) -> bytes:
            nonlocal sent
            sent += 1
            if sent == 5:
                port.model.run(20_000)
                port.press_reset()
            return data

        port.to_board = reset
        with pytest.raises(DeviceError, match="the board was reset"):
            load(device, program)
        port.to_board = lambda data: data
    with connect(port) as device:
        same(infer(device, program, load(device, program), codes(2)), answers(2))


def test_memory_byte_by_byte(port: ModelPort) -> None:
    rng = np.random.default_rng(1)
    with connect(port) as device:
        buffer = device.alloc(4000)
        expected = rng.integers(0, 256, 4000, np.uint8)
        device.write(buffer, expected)
        for start, size in ((0, 1), (7, 1), (5, 6), (8, 8), (13, 1029), (3990, 10), (100, 0)):
            values = rng.integers(0, 256, size, np.uint8)
            device.write(buffer, values, start)
            expected[start : start + size] = values
            assert (device.read(buffer, start, size) == values).all()
        assert (device.read(buffer, 0, 4000) == expected).all()
        # Bytes that must be escaped on the wire, more than a frame of them.
        flags = np.full(2000, FLAG, np.uint8)
        device.write(buffer, flags)
        assert (device.read(buffer, 0, 2000) == flags).all()
        with pytest.raises(DeviceError, match="outside a buffer of 4000 bytes"):
            device.read(buffer, 3999, 2)
        with pytest.raises(DeviceError, match="no 33554433 bytes of device memory"):
            device.alloc((32 << 20) + 1)
        device.free(buffer)
        with pytest.raises(DeviceError, match="no buffer at 0 to free"):
            device.free(buffer)
    with pytest.raises(DeviceError, match="the device is closed"):
        device.read(buffer, 0, 1)


def test_error_and_next_run(
    port: ModelPort, program: Program, answers: Callable[[int], Maps]
) -> None:
    with connect(port) as device:
        buffer = load(device, program)
        where = program.desc_offset + 64
        device.write(buffer, b"\xee", where)
        with pytest.raises(DeviceError, match="descriptor 1 is damaged or for no engine: beats"):
            infer(device, program, buffer, codes(1))
        device.write(buffer, program.image)
        same(infer(device, program, buffer, codes(1)), answers(1))


def test_timeout(port: ModelPort, program: Program, answers: Callable[[int], Maps]) -> None:
    with connect(port) as device:
        buffer = load(device, program)
        with pytest.raises(DeviceError, match="no end after 0 s: beats received"):
            device.run(program, buffer, timeout=0)
        same(infer(device, program, buffer, codes(1)), answers(1))


def test_a_killed_program_leaves_a_running_core(
    port: ModelPort, program: Program, answers: Callable[[int], Maps]
) -> None:
    device = connect(port)
    buffer = load(device, program)
    device.csr.start(
        base=buffer.offset,
        desc_offset=program.desc_offset,
        desc_count=program.desc_count,
        watchdog=0,
    )
    with connect(port) as second:
        assert second.csr.idle
        same(infer(second, program, load(second, program), codes(1)), answers(1))


def test_wrong_arch(port: ModelPort) -> None:
    message = (
        rf"the board on simulated board is of arch {ARCH.fingerprint:016x}, not of lab .*"
        r"\(that is tiny: --arch tiny\)"
    )
    with pytest.raises(DeviceError, match=message):
        LinkedDevice(get_arch("lab"), port=port, baud=BAUD, reply_timeout=REPLY_TIMEOUT)


def test_nobody_answers(port: ModelPort) -> None:
    port.from_board = lambda data: b""
    with pytest.raises(
        DeviceError, match="no answer from the board on simulated board to HELLO at 0x0, asked 6"
    ):
        connect(port)


def test_no_port() -> None:
    with pytest.raises(DeviceError, match="needs a port: --port /dev/ttyUSB0"):
        open_device("ulx3s", ARCH)
    with pytest.raises(DeviceError, match=r"cannot open /dev/no-such-port: there is no such port"):
        open_device("ulx3s", ARCH, port="/dev/no-such-port")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watchdog": -1}, "watchdog must be from 0 to 4294967295, not -1"),
        ({"baud": 0}, "baud must be a positive integer, not 0"),
        ({"reply_timeout": 0}, "reply_timeout must be a positive number, not 0"),
        ({"retries": -1}, "retries must not be negative, not -1"),
    ],
)
def test_wrong_parameters(options: dict[str, int], message: str, port: ModelPort) -> None:
    with pytest.raises(ValueError, match=message):
        LinkedDevice(ARCH, port=port, **{"baud": BAUD, **options})
