"""Serial ports that cannot be opened, or disappear."""

from __future__ import annotations

import errno
import os
import sys
import tty
from collections.abc import Iterator

import pytest

from penstock.host.devices.device import DeviceError
from penstock.host.devices.serial.serial_port import open_port


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The other end's file and the name of a pseudo-terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_bytes_there_and_back(terminal: tuple[int, str]) -> None:
    master, name = terminal
    port = open_port(name, baud=3_000_000)
    port.write(bytes(range(256)))
    assert os.read(master, 1000) == bytes(range(256))
    os.write(master, b"answer")
    assert port.read(1.0) == b"answer"
    assert port.read(0.0) == b""
    port.close()


def test_what_came_before_is_dropped(terminal: tuple[int, str]) -> None:
    master, name = terminal
    os.write(master, b"old")
    port = open_port(name, baud=115200)
    os.write(master, b"new")
    assert port.read(1.0) == b"new"
    port.close()


def test_no_such_port() -> None:
    with pytest.raises(DeviceError, match=r"cannot open /dev/none: there is no such port \(is"):
        open_port("/dev/none", baud=115200)


def test_in_use(terminal: tuple[int, str]) -> None:
    _, name = terminal
    port = open_port(name, baud=115200)
    with pytest.raises(DeviceError, match=f"cannot open {name}: another program uses it"):
        open_port(name, baud=115200)
    port.close()


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(DeviceError, match=r"/dev/ttyUSB0: no permission \(on Linux: add yourself"):
        open_port("/dev/ttyUSB0", baud=115200)


def test_pyserial_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(DeviceError, match=r"pyserial is missing: pip install -e '.*\[serial\]'"):
        open_port("/dev/ttyUSB0", baud=115200)


def test_unplugged() -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    port = open_port(name, baud=115200)
    os.close(slave)
    os.close(master)
    with pytest.raises(DeviceError, match=f"cannot read from {name}: "):
        port.read(0.5)
    with pytest.raises(DeviceError, match=f"cannot write to {name}: "):
        port.write(b"x")
    port.close()
