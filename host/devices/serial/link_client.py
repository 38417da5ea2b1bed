"""The host's end of the link (`models.spec.link_frames`): requests, answers, retries.

Requests are pipelined up to the size of the board's buffer.  Damaged or lost ones are sent again.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.host.devices.device import DeviceError
from penstock.models.spec.link_frames import (
    ANSWER,
    CRC_BYTES,
    ESCAPE,
    ESCAPE_XOR,
    FLAG,
    HEADER_BYTES,
    HEADER_FIELDS,
    STATE_FIELDS,
    WINDOW_BYTES,
    LinkOp,
)

__all__ = [
    "Answer",
    "BoardReset",
    "Decoder",
    "Link",
    "LinkError",
    "Port",
    "Request",
    "Statistics",
    "encode",
]

_ESCAPED = [(bytes([value]), bytes([ESCAPE, value ^ ESCAPE_XOR])) for value in (ESCAPE, FLAG)]

# Maximum requests in flight: their sequence numbers must differ.
_OUTSTANDING = 64


class LinkError(DeviceError):
    """The board does not answer, or its answer does not match the request."""


class BoardReset(LinkError):
    """The board was reset since the session began."""


class Port(Protocol):
    """A byte stream to a board."""

    name: str

    def write(self, data: bytes) -> None:
        """Send all of `data`."""

    def read(self, timeout: float) -> bytes:
        """Return the bytes received, waiting up to `timeout` seconds for the first one."""

    def close(self) -> None:
        """Close the stream."""


@dataclass(frozen=True)
class Request:
    """A frame to the board; see `models.spec.link_frames`.

    Parameters
    ----------
    op : LinkOp
    word : int
        Byte address.
    length : int
        Bytes of the request's or the answer's payload.
    payload : bytes
    """

    op: LinkOp
    word: int = 0
    length: int = 0
    payload: bytes = b""


@dataclass(frozen=True)
class Answer:
    """A frame from the board."""

    op: int
    seq: int
    state: dict[str, int]
    payload: bytes


@dataclass
class Statistics:
    """Counters of a link: frames sent again, and damaged frames received."""

    retries: int = 0
    damaged: int = 0


def encode(content: bytes) -> bytes:
    """Return the frame of `content`, as sent on the wire."""
    body = content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")
    for plain, escaped in _ESCAPED:
        body = body.replace(plain, escaped)
    return bytes([FLAG]) + body + bytes([FLAG])


def _header(request: Request, seq: int) -> bytes:
    values = {"op": request.op, "seq": seq, "length": request.length, "word": request.word}
    return b"".join(values[name].to_bytes(bits // 8, "little") for name, bits in HEADER_FIELDS)


class Decoder:
    """Decodes bytes from the wire to the contents of frames with a correct CRC."""

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes; return the contents of the frames they complete."""
        *bodies, self._rest = (self._rest + data).split(bytes([FLAG]))
        contents = []
        for body in bodies:
            if not body:
                continue
            for plain, escaped in reversed(_ESCAPED):
                body = body.replace(escaped, plain)
            content, crc = body[:-CRC_BYTES], body[-CRC_BYTES:]
            good = zlib.crc32(content).to_bytes(CRC_BYTES, "little") == crc
            if good and len(content) >= HEADER_BYTES:
                contents.append(content)
            else:
                self.damaged += 1
        return contents


def _answer(content: bytes) -> Answer:
    values = {}
    start = 0
    for name, bits in HEADER_FIELDS:
        values[name] = int.from_bytes(content[start : start + bits // 8], "little")
        start += bits // 8
    state = {field.name: field.of(values["word"]) for field in STATE_FIELDS}
    return Answer(values["op"], values["seq"], state, content[HEADER_BYTES:])


@dataclass
class _Flight:
    """A request in flight."""

    index: int
    seq: int
    request: Request
    wire: bytes
    tries: int = 1


class Link:
    """Requests and their answers.

    Parameters
    ----------
    port : Port
    baud : int
        Bits per second, to compute the time of an answer on the wire.
    reply_timeout : float
        Seconds without any byte, beyond the time on the wire, after which requests are repeated.
    retries : int
        Maximum repetitions of each.

    Attributes
    ----------
    statistics : Statistics
    """

    def __init__(
        self, port: Port, *, baud: int, reply_timeout: float = 0.2, retries: int = 5
    ) -> None:
        if baud < 1:
            raise ValueError(f"baud must be a positive integer, not {baud!r}")
        if reply_timeout <= 0:
            raise ValueError(f"reply_timeout must be a positive number, not {reply_timeout!r}")
        if retries < 0:
            raise ValueError(f"retries must not be negative, not {retries!r}")
        self.port = port
        self.baud = baud
        self.reply_timeout = reply_timeout
        self.retries = retries
        self.statistics = Statistics()
        self._decoder = Decoder()
        # Random, or the board could mistake a new program's write for a repeated one.
        self._seq = os.urandom(1)[0]

    def exchange(
        self, requests: Sequence[Request], done: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """Send requests and return their answers, in the same order.

        The board executes them in this order, unless some are sent again: then the requests between
        may be executed twice and out of order.  A list must therefore access different addresses;
        send a register write alone.

        Parameters
        ----------
        done : callable or None
            Called with the number of answered requests, whenever it grows.

        Raises
        ------
        LinkError
            If a request has no answer after all retries, or the board was reset.
        """
        waiting = deque(enumerate(requests))
        flights: deque[_Flight] = deque()
        answers: dict[int, Answer] = {}
        while len(answers) < len(requests):
            self._launch(waiting, flights)
            data = self.port.read(self._allowed(flights))
            if not data:
                for flight in flights:
                    self._repeat(flight)
                continue
            for content in self._decoder.feed(data):
                answer = _answer(content)
                self._land(answer, flights, answers)
            self.statistics.damaged = self._decoder.damaged
            if done is not None:
                done(len(answers))
        return [answers[index] for index in range(len(requests))]

    def _launch(self, waiting: deque[tuple[int, Request]], flights: deque[_Flight]) -> None:
        """Send as many requests as fit the board's buffer."""
        used = sum(len(flight.wire) for flight in flights)
        while waiting and len(flights) < _OUTSTANDING:
            index, request = waiting[0]
            seq = (self._seq + 1) % 256
            wire = encode(_header(request, seq) + request.payload)
            # At least one is sent: escapes may double the length of a frame of random bytes, but it
            # always fits the buffer.
            if flights and used + len(wire) > WINDOW_BYTES:
                return
            # Only now: numbers used up while there is no room would come round to one in flight.
            self._seq = seq
            waiting.popleft()
            used += len(wire)
            self.port.write(wire)
            flights.append(_Flight(index, seq, request, wire))

    def _allowed(self, flights: deque[_Flight]) -> float:
        """Seconds within which the board must send something."""
        there = sum(len(flight.wire) for flight in flights)
        back = max(flight.request.length for flight in flights) + HEADER_BYTES + CRC_BYTES
        return self.reply_timeout + 10 * (there + 2 * back) / self.baud

    def _repeat(self, flight: _Flight) -> None:
        """Send a request again.

        Raises
        ------
        LinkError
            If it has been sent `retries` times already.
        """
        if flight.tries > self.retries:
            raise LinkError(
                f"no answer from the board on {self.port.name} to {flight.request.op.name} at "
                f"0x{flight.request.word:x}, asked {flight.tries} times"
            )
        flight.tries += 1
        self.statistics.retries += 1
        self.port.write(flight.wire)

    def _land(self, answer: Answer, flights: deque[_Flight], answers: dict[int, Answer]) -> None:
        """Accept an answer; repeat the requests before it, whose answers were lost."""
        position = next((k for k, flight in enumerate(flights) if flight.seq == answer.seq), None)
        if position is None:
            return  # answer to a request that was sent twice
        flight = flights[position]
        self._check(answer, flight.request)
        answers[flight.index] = answer
        del flights[position]
        # The board answers in order.  Repeated requests are at the end of the queue.
        for _ in range(position):
            lost = flights.popleft()
            self._repeat(lost)
            flights.append(lost)

    @staticmethod
    def _check(answer: Answer, request: Request) -> None:
        """Check that an answer matches its request and the board was not reset."""
        if answer.op != request.op | ANSWER:
            raise LinkError(f"the board answers {request.op.name} with operation {answer.op:#x}")
        if answer.state["fresh"]:
            raise BoardReset("the board was reset: what was in its memory is lost")
        if answer.state["bus_error"]:
            raise LinkError("the board's memory or registers answered the link with an error")
        writes = (LinkOp.WRITE_MEMORY, LinkOp.WRITE_REGISTER)
        if request.op is not LinkOp.HELLO:
            expected = 0 if request.op in writes else request.length
            if len(answer.payload) != expected:
                raise LinkError(
                    f"the board answers {request.op.name} with {len(answer.payload)} bytes, "
                    f"not {expected}"
                )
