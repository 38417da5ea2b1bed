"""The host's end of the link against a board written here byte by byte, as RFC 1662 has it."""

from __future__ import annotations

import zlib
from itertools import pairwise, product

import pytest

from penstock.host.devices.serial.link_client import Decoder, Link, LinkError, Request, encode
from penstock.models.spec.link_frames import LinkOp

BUFFER = 4096  # what the board can hold of requests not yet answered
BUS_ERROR = 2


def stuff(content: bytes) -> bytes:
    """A frame on the wire."""
    body = content + zlib.crc32(content).to_bytes(4, "little")
    escaped = (bytes([0x7D, b ^ 0x20]) if b in (0x7D, 0x7E) else bytes([b]) for b in body)
    return b"\x7e" + b"".join(escaped) + b"\x7e"


def unstuff(wire: bytes) -> list[bytes]:
    """The contents of the frames on the wire."""
    frames, body, escaped = [], bytearray(), False
    for byte in wire:
        if byte == 0x7E:
            if body:
                assert zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]
                frames.append(bytes(body[:-4]))
            body = bytearray()
        elif byte == 0x7D:
            escaped = True
        else:
            body.append(byte ^ 0x20 if escaped else byte)
            escaped = False
    return frames


class Board:
    """A board that executes each request as it comes and answers when it is read from.

    Parameters
    ----------
    piece : int
        Most bytes of one read.
    lose : set of int
        Answers, counted from 0, that are lost on the way.
    state : int
        The state word of every answer.
    cut : int
        Bytes missing from the payload of every answer.
    """

    name = "a board"

    def __init__(
        self, piece: int = 1 << 20, lose: frozenset[int] = frozenset(), state: int = 0, cut: int = 0
    ) -> None:
        self.piece, self.lose, self.state, self.cut = piece, lose, state, cut
        self.numbers: list[int] = []
        self.register_writes: list[tuple[int, bytes]] = []
        self.fullest = 0
        self._last: int | None = None
        self._held = 0
        self._out = b""

    def write(self, data: bytes) -> None:
        self._held += len(data)
        self.fullest = max(self.fullest, self._held)
        for content in unstuff(data):
            op, number, length = content[0], content[1], int.from_bytes(content[2:4], "little")
            address = int.from_bytes(content[4:8], "little")
            if op == LinkOp.WRITE_REGISTER and number != self._last:
                self.register_writes.append((address, content[8:]))
            self._last = number
            reads = op in (LinkOp.READ_MEMORY, LinkOp.READ_REGISTER)
            payload = bytes((address + k) % 256 for k in range(length)) if reads else b""
            payload = payload[: len(payload) - self.cut]
            head = bytes([op | 0x80, number]) + len(payload).to_bytes(2, "little")
            if len(self.numbers) not in self.lose:
                self._out += stuff(head + self.state.to_bytes(4, "little") + payload)
            self.numbers.append(number)

    def read(self, timeout: float) -> bytes:
        data, self._out = self._out[: self.piece], self._out[self.piece :]
        if not self._out:
            self._held = 0
        return data

    def close(self) -> None:
        pass


def consecutive(numbers: list[int]) -> bool:
    return all((a + 1) % 256 == b for a, b in pairwise(numbers))


def test_the_last_escape_undone_does_not_make_another() -> None:
    # An escape followed by the second half of another: undone in the wrong order, they merge.
    for content in product((0x7D, 0x7E, 0x5D, 0x5E), repeat=4):
        whole = b"\x00" * 8 + bytes(content)
        assert encode(whole) == stuff(whole)
        assert Decoder().feed(stuff(whole)) == [whole]


def test_numbers_take_all_eight_bits_so_that_a_late_answer_is_not_taken_for_another() -> None:
    board = Board()
    requests = [Request(LinkOp.READ_MEMORY, 8 * k, 8) for k in range(700)]
    answers = Link(board, baud=10**6).exchange(requests)
    assert [a.payload[0] for a in answers] == [8 * k % 256 for k in range(700)]
    assert consecutive(board.numbers)
    assert set(board.numbers) == set(range(256))


def test_no_number_is_used_up_by_a_request_that_waits_for_room() -> None:
    # With a byte at a time there are hundreds of reads while the buffer is full.
    board = Board(piece=1)
    requests = [Request(LinkOp.WRITE_MEMORY, 1024 * k, 1024, bytes(1024)) for k in range(12)]
    Link(board, baud=10**6).exchange(requests)
    assert consecutive(board.numbers)


def test_a_repeated_register_write_keeps_its_number_so_that_it_is_done_once() -> None:
    board = Board(lose=frozenset({0, 1}))
    link = Link(board, baud=10**6)
    link.exchange([Request(LinkOp.WRITE_REGISTER, 8, 4, b"abcd")])
    assert link.statistics.retries == 2
    assert len(board.numbers) == 3
    assert board.register_writes == [(8, b"abcd")]
    link.exchange([Request(LinkOp.WRITE_REGISTER, 8, 4, b"abcd")])
    assert len(board.register_writes) == 2, "a new request with the same content is another write"


@pytest.mark.parametrize("fill", [0x00, 0x7E], ids=["plain", "escaped"])
def test_no_more_is_sent_ahead_than_the_board_can_hold(fill: int) -> None:
    board = Board()
    data = bytes([fill]) * 1024
    requests = [Request(LinkOp.WRITE_MEMORY, 1024 * k, 1024, data) for k in range(20)]
    Link(board, baud=10**6).exchange(requests)
    assert 2048 < board.fullest <= BUFFER


@pytest.mark.parametrize("op", [LinkOp.READ_MEMORY, LinkOp.WRITE_REGISTER])
def test_a_bus_error_that_the_board_tells_ends_the_exchange(op: LinkOp) -> None:
    payload = bytes(4) if op is LinkOp.WRITE_REGISTER else b""
    with pytest.raises(LinkError, match="answered the link with an error"):
        Link(Board(state=BUS_ERROR), baud=10**6).exchange([Request(op, 8, 8, payload)])


def test_an_answer_shorter_than_asked_for_is_refused() -> None:
    with pytest.raises(LinkError, match="READ_MEMORY with 15 bytes, not 16"):
        Link(Board(cut=1), baud=10**6).exchange([Request(LinkOp.READ_MEMORY, 0, 16)])
