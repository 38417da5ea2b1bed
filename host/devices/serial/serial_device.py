"""A board with a memory of its own on a serial port.

Programs and feature maps are in the board's memory; all accesses use the host link
(`host.devices.serial.link_client`), in units of 8 bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.arena_device import ArenaDevice
from penstock.host.devices.csr import Csr
from penstock.host.devices.csr_device import CsrDevice
from penstock.host.devices.device import Buffer, Data, DeviceError
from penstock.host.devices.serial.link_client import (
    Answer,
    BoardReset,
    Link,
    Port,
    Request,
    Statistics,
)
from penstock.host.devices.serial.serial_port import open_port
from penstock.host.program.program import Program
from penstock.models.spec.arch import ARCHES, Arch
from penstock.models.spec.link_frames import INFO_FIELDS, MAX_PAYLOAD, PROTOCOL, LinkOp

__all__ = ["LinkedDevice"]

# A tenth of a second: no burst waits that long for the SDRAM.
DEFAULT_WATCHDOG = 10_000_000

# Bytes per bus beat; the link's memory accesses are multiples of it.
_BEAT = 8

# Seconds between two polls of the status.
_POLL = 0.001


class LinkedDevice(ArenaDevice, CsrDevice):
    """A board, or a simulation of one, on a serial port.

    After a reset of the board it can no longer be used: open it again.

    Parameters
    ----------
    arch : Arch
        The arch that the board's bitstream must be of.
    name : str or None
        What messages call the device; None: its kind.
    port : str or Port
        The serial port, such as ``/dev/ttyUSB0``, or an open stream, which the device will close.
    baud : int
        Bits per second.
    reply_timeout : float
        Seconds without an answer after which a request is repeated.
    retries : int
        Maximum number of repetitions.
    watchdog : int
        Cycles without progress after which a run fails; 0: never.

    Attributes
    ----------
    info : dict
        The board's description of itself: `models.spec.link_frames.INFO_FIELDS`.

    Raises
    ------
    DeviceError
        If the port cannot be opened, no board answers, or its bitstream is another one.
    """

    name = "linked"

    def __init__(
        self,
        arch: Arch,
        *,
        name: str | None = None,
        port: str | Port | None = None,
        baud: int,
        reply_timeout: float = 0.2,
        retries: int = 5,
        watchdog: int = DEFAULT_WATCHDOG,
    ) -> None:
        super().__init__(arch, watchdog=watchdog)
        if name is not None:
            self.name = name
        if port is None:
            raise DeviceError(f"the {self.name} device needs a port: --port /dev/ttyUSB0")
        # Seconds within which bursts in flight must end after a soft reset.
        self.reset_limit = 5.0
        self._failure = ""
        self._port = open_port(port, baud=baud) if isinstance(port, str) else port
        try:
            self._link = Link(self._port, baud=baud, reply_timeout=reply_timeout, retries=retries)
            self.info = self._hello()
            self.csr = Csr(self._read_register, self._write_register)
            self._check_identity()
            if not self.csr.idle:
                self._recover()  # a run that a killed program had started
        except BaseException:
            self._port.close()
            raise
        self.own(self.info["memory_bytes"])

    @property
    def statistics(self) -> Statistics:
        """The link's error counters."""
        return self._link.statistics

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        values = np.frombuffer(data, np.uint8)
        self.check_range(buffer, offset, len(values))
        if not len(values):
            return
        start = buffer.offset + offset
        # Read the beats that are only partly written, to keep their other bytes.
        head, tail = start % _BEAT, -(start + len(values)) % _BEAT
        before = self._load(start - head, _BEAT)[:head] if head else b""
        after = self._load(start + len(values) + tail - _BEAT, _BEAT)[-tail:] if tail else b""
        whole = before + values.tobytes() + after
        requests = []
        for k in range(0, len(whole), MAX_PAYLOAD):
            payload = whole[k : k + MAX_PAYLOAD]
            requests.append(Request(LinkOp.WRITE_MEMORY, start - head + k, len(payload), payload))
        self._exchange(requests)

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self.check_range(buffer, offset, size)
        start = buffer.offset + offset
        head = start % _BEAT
        whole = -(-(head + size) // _BEAT) * _BEAT
        data = self._load(start - head, whole) if size else b""
        return np.frombuffer(data, np.uint8)[head : head + size].copy()

    def _wait(self, program: Program, begin: float, timeout: float) -> None:
        while not self.csr.ended:
            if time.monotonic() - begin > timeout:
                raise DeviceError(f"no end after {timeout:g} s: {self.diagnosis(program)}")
            time.sleep(_POLL)

    def close(self) -> None:
        """Close the port; repeated calls do nothing."""
        if not self._failure:
            self._failure = "the device is closed"
            self._port.close()

    def _exchange(self, requests: Sequence[Request]) -> list[Answer]:
        if self._failure:
            raise DeviceError(self._failure)
        try:
            return self._link.exchange(requests)
        except BoardReset as error:
            self._failure = f"{error}; open the device again"
            self._port.close()
            raise DeviceError(self._failure) from None

    def _hello(self) -> dict[str, int]:
        """Begin a session; return the board's description of itself."""
        (answer,) = self._exchange([Request(LinkOp.HELLO)])
        words = np.frombuffer(answer.payload, "<u4")
        info = dict(zip(INFO_FIELDS, map(int, words)))
        if len(words) < len(INFO_FIELDS) or info["protocol"] != PROTOCOL:
            raise DeviceError(
                f"the board on {self._port.name} speaks version {info.get('protocol')} of the "
                f"link, this program version {PROTOCOL}: build the bitstream again"
            )
        return info

    def _check_identity(self) -> None:
        wrong = self.csr.identity_error(self.arch)
        if wrong is None:
            return
        found = self.csr.read("FINGERPRINT_LO") | self.csr.read("FINGERPRINT_HI") << 32
        known = [arch.name for arch in ARCHES.values() if arch.fingerprint == found]
        hint = f" (that is {known[0]}: --arch {known[0]})" if known else ""
        raise DeviceError(f"the board on {self._port.name} {wrong}{hint}")

    def _load(self, start: int, size: int) -> bytes:
        """Read memory; `start` and `size` are multiples of a beat, in bytes."""
        requests = [
            Request(LinkOp.READ_MEMORY, start + k, min(MAX_PAYLOAD, size - k))
            for k in range(0, size, MAX_PAYLOAD)
        ]
        return b"".join(answer.payload for answer in self._exchange(requests))

    def _read_register(self, address: int) -> int:
        (answer,) = self._exchange([Request(LinkOp.READ_REGISTER, address, 4)])
        return int.from_bytes(answer.payload, "little")

    def _write_register(self, address: int, value: int) -> None:
        payload = value.to_bytes(4, "little")
        self._exchange([Request(LinkOp.WRITE_REGISTER, address, 4, payload)])

    def _recover(self) -> None:
        """Make the core idle.

        Raises
        ------
        DeviceError
            If the core does not stop.
        """
        self.csr.begin_reset()
        deadline = time.monotonic() + self.reset_limit
        while not self.csr.idle:
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"the core does not stop within {self.reset_limit:g} s: press the board's "
                    f"reset button; {self.csr.diagnosis()}"
                )
            time.sleep(_POLL)
