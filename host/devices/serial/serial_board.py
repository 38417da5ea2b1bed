"""Boards on a serial port by name, and `serial`: any board that speaks the host link."""

from __future__ import annotations

import re
from typing import Any

from penstock.host.devices.device import DeviceError
from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.models.spec.arch import Arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS

__all__ = ["ANY_BOARD", "SERIAL_DEVICES", "create"]

# The device of a board that is not among ours: its port says the baud rate as well.
ANY_BOARD = "serial"

# The arch that each device has if none is asked for.
SERIAL_DEVICES: dict[str, str | None] = {
    **{name: board.arch for name, board in SERIAL_BOARDS.items()},
    ANY_BOARD: None,
}

_PORT = re.compile(r"(?P<port>.+)@(?P<baud>[1-9]\d*)")


def create(
    arch: Arch, *, board: str, port: Any = None, baud: int | None = None, **options: Any
) -> LinkedDevice:
    """Open a board.

    Parameters
    ----------
    arch : Arch
    board : str
        A key of `SERIAL_DEVICES`.
    port : str or Port
        As in `LinkedDevice`.  The name of a port may end with ``@`` and a baud rate.
    baud : int or None
        None: what the port's name says, or the board's own.
    options
        Those of `LinkedDevice`.

    Raises
    ------
    DeviceError
        If it cannot be opened, or its baud rate is not known.
    """
    match = _PORT.fullmatch(port) if isinstance(port, str) else None
    if match:
        port, baud = match["port"], baud or int(match["baud"])
    if baud is None and board in SERIAL_BOARDS:
        baud = SERIAL_BOARDS[board].baud
    if baud is None and port is not None:
        raise DeviceError(
            f"the {board} device must know the board's baud rate: --port /dev/ttyUSB0@1000000"
        )
    return LinkedDevice(arch, name=board, port=port, baud=baud or 0, **options)
