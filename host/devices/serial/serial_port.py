"""Serial ports, through pyserial."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from penstock.host.devices.device import DeviceError
from penstock.models.spec.install_hint import install_hint

__all__ = ["SerialPort", "open_port"]


class SerialPort:
    """An open serial port.

    Parameters
    ----------
    name : str
        Such as ``/dev/ttyUSB0`` or ``COM3``.
    serial : serial.Serial
    """

    def __init__(self, name: str, serial: Any) -> None:
        self.name = name
        self._serial = serial

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises
        ------
        DeviceError
            If the port is gone.
        """
        try:
            self._serial.write(data)
        except OSError as error:
            raise DeviceError(f"cannot write to {self.name}: {error}") from None

    def read(self, timeout: float) -> bytes:
        """Return the bytes received, waiting up to `timeout` seconds for the first one.

        Raises
        ------
        DeviceError
            If the port is gone.
        """
        try:
            self._serial.timeout = timeout
            first = self._serial.read(1)
            return bytes(first + self._serial.read(self._serial.in_waiting)) if first else b""
        except OSError as error:
            raise DeviceError(f"cannot read from {self.name}: {error}") from None

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


def open_port(name: str, *, baud: int) -> SerialPort:
    """Open a serial port exclusively, and discard bytes received before.

    Raises
    ------
    DeviceError
        If pyserial is missing, or the port does not exist, is not permitted, or is in use.
    """
    try:
        import serial
    except ModuleNotFoundError:
        raise DeviceError(f"the package pyserial is missing: {install_hint('serial')}") from None
    try:
        port = serial.Serial(name, baud, exclusive=True if os.name == "posix" else None)
        port.reset_input_buffer()
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot open {name}: {_reason(name, error)}") from None
    # The USB chip delays short answers by 16 ms, except in low-latency mode.  Use that mode where
    # the system and the port have it; without it everything works, but slower.
    with contextlib.suppress(AttributeError, NotImplementedError, OSError, ValueError):
        port.set_low_latency_mode(True)
    return SerialPort(name, port)


def _reason(name: str, error: Exception) -> str:
    """Return the problem and its remedy."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "there is no such port (is the board plugged in?)"
    if number == errno.EACCES:
        return "no permission (on Linux: add yourself to the group dialout and log in again)"
    if number in (errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK):
        return "another program uses it"
    return " ".join(str(error).split())
