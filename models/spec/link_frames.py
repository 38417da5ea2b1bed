"""The host link: frames between a board and a computer, over a byte stream.

A frame is delimited and escaped as RFC 1662 describes for asynchronous links::

    FLAG | header (8 bytes) | payload | CRC-32 (4 bytes, little endian) | FLAG

Between the flags, a byte that is `FLAG` or `ESCAPE` is sent as `ESCAPE` and the byte XOR
`ESCAPE_XOR`.  A flag may end one frame and begin the next.  The CRC is that of zlib and Ethernet,
over header and payload.  A frame with a wrong CRC or an impossible length is dropped without an
answer, so a damaged request is never executed.

The host asks, the board answers each request with one frame in the order of the requests::

              op           seq     length                   word
    request   Op           number  of the payload (writes)  byte address
                                   or of the answer's (reads)
    answer    Op | ANSWER  same    of the payload           state: see STATE_FIELDS

Requests that were answered may be sent again: memory accesses and register reads have no side
effect that a second time would change, and a register write with the same number as the request
before is not repeated.
"""

from __future__ import annotations

from enum import IntEnum

from penstock.models.spec.regs import BitField

__all__ = [
    "ANSWER",
    "CRC_BYTES",
    "ESCAPE",
    "ESCAPE_XOR",
    "FLAG",
    "HEADER_BYTES",
    "HEADER_FIELDS",
    "INFO_FIELDS",
    "MAX_PAYLOAD",
    "PROTOCOL",
    "STATE_FIELDS",
    "WINDOW_BYTES",
    "LinkOp",
]

PROTOCOL = 1

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_XOR = 0x20

# Little endian, in this order.
HEADER_FIELDS = (("op", 8), ("seq", 8), ("length", 16), ("word", 32))
HEADER_BYTES = sum(bits for _, bits in HEADER_FIELDS) // 8
CRC_BYTES = 4
ANSWER = 0x80

MAX_PAYLOAD = 1024

# Most bytes, escapes included, that the host sends ahead of the board's answers.
WINDOW_BYTES = 4096


class LinkOp(IntEnum):
    """Operation of a request.

    Addresses and lengths of memory accesses are multiples of 8, those of registers multiples of 4;
    a payload has 1 to `MAX_PAYLOAD` bytes.
    """

    HELLO = 0  # what is there; begins a session
    READ_MEMORY = 1
    WRITE_MEMORY = 2
    READ_REGISTER = 3
    WRITE_REGISTER = 4


# Payload of the answer to HELLO, little endian, 32 bits each.
INFO_FIELDS = ("protocol", "memory_bytes", "clock_hz", "baud")


# Of the state word.
STATE_FIELDS = (
    BitField("fresh", 0, 1, "the board was reset and no HELLO has come since"),
    BitField("bus_error", 1, 1, "memory or a register answered the link with an error"),
    BitField("dropped", 16, 16, "damaged frames dropped since the reset, modulo 2**16"),
)
