"""Boards by name, and any board by its port and baud rate."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.host.apps.open_device import device_names, open_device
from penstock.host.devices.device import DeviceError
from penstock.host.devices.serial import serial_board, serial_device
from penstock.host.devices.serial.serial_board import SERIAL_DEVICES
from penstock.models.spec.arch import ARCHES, get_arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS

TINY = get_arch("tiny")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Names and rates of the ports that were opened; none of them exists."""
    ports = []

    def open_port(name: str, *, baud: int) -> Any:
        ports.append((name, baud))
        raise DeviceError("no such port")

    monkeypatch.setattr(serial_device, "open_port", open_port)
    return ports


@pytest.mark.parametrize("name", sorted(SERIAL_BOARDS))
def test_a_board_by_name(name: str, opened: list[tuple[str, int]]) -> None:
    assert name in device_names()
    assert SERIAL_DEVICES[name] in ARCHES
    with pytest.raises(DeviceError, match="no such port"):
        open_device(name, TINY, port="/dev/ttyUSB0")
    assert opened == [("/dev/ttyUSB0", SERIAL_BOARDS[name].baud)]


def test_a_former_name(opened: list[tuple[str, int]]) -> None:
    with pytest.raises(DeviceError, match="no such port"):
        open_device("ulx3s", TINY, port="COM3")
    assert opened == [("COM3", SERIAL_BOARDS["ulx3s-85f"].baud)]


@pytest.mark.parametrize("name", ["serial", "ulx3s-45f"])
def test_the_port_says_the_rate(name: str, opened: list[tuple[str, int]]) -> None:
    with pytest.raises(DeviceError, match="no such port"):
        open_device(name, TINY, port="socket://user@host:7000@115200")
    with pytest.raises(DeviceError, match="no such port"):
        open_device(name, TINY, port="/dev/ttyUSB0", baud=9600)
    assert opened == [("socket://user@host:7000", 115200), ("/dev/ttyUSB0", 9600)]


def test_a_rate_that_nobody_says() -> None:
    with pytest.raises(DeviceError, match=r"must know the board's baud rate: --port .*@1000000"):
        open_device("serial", TINY, port="/dev/ttyUSB0")
    with pytest.raises(DeviceError, match="the serial device needs a port"):
        open_device("serial", TINY)


def test_messages_have_the_boards_name() -> None:
    with pytest.raises(DeviceError, match="the arty-a7-100t device needs a port"):
        serial_board.create(TINY, board="arty-a7-100t")
