"""Names and widths of the signals in an FST waveform, without its values.

A file is a sequence of blocks::

    1 byte   type
    8 bytes  length, with these 8 (big endian, as all numbers)
    ...

The block of the hierarchy has its length when unpacked (8 bytes), then, packed, a sequence of
records that begin with a byte: 254 opens a scope, 255 closes it, 252 and 253 enclose attributes,
and less than 30 is a signal.  Texts end with a zero byte.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

__all__ = ["signals"]

_GZIP, _LZ4, _LZ4_TWICE = 4, 6, 7
_SCOPE, _UPSCOPE, _ATTRIBUTE, _ATTRIBUTE_END = 254, 255, 252, 253
_VARIABLES = 30


def signals(path: Path) -> dict[str, int]:
    """Return the signals of an FST file: bits by full name, scopes joined by dots.

    Signals of more than a bit end in their range, ``top.load.act__addr[11:0]``.

    Raises
    ------
    ValueError
        If the file is no complete FST file.
    OSError
        If it cannot be read.
    """
    try:
        return _records(_hierarchy(path))
    except (IndexError, struct.error, zlib.error, UnicodeDecodeError):
        raise ValueError(f"{path}: not a complete FST waveform") from None


def _hierarchy(path: Path) -> bytes:
    """Return the block of the hierarchy, unpacked."""
    with path.open("rb") as file:
        while head := file.read(9):
            kind, length = struct.unpack(">BQ", head)
            if kind not in (_GZIP, _LZ4, _LZ4_TWICE):
                file.seek(length - 8, 1)
                continue
            block = file.read(length - 8)
            (size,) = struct.unpack_from(">Q", block)
            if kind == _GZIP:
                return zlib.decompress(block[8:], 31)
            if kind == _LZ4:
                return _unpack_lz4(block[8:], size)
            (between,) = struct.unpack_from(">Q", block, 8)
            return _unpack_lz4(_unpack_lz4(block[16:], between), size)
    raise IndexError


def _unpack_lz4(data: bytes, size: int) -> bytes:
    """Unpack an LZ4 block: literals, then a copy of what came before, and so on."""
    out = bytearray()
    at = 0

    def length(start: int) -> int:
        nonlocal at
        if start == 15:
            while data[at] == 255:
                start += 255
                at += 1
            start += data[at]
            at += 1
        return start

    while len(out) < size:
        token = data[at]
        at += 1
        literals = length(token >> 4)
        out += data[at : at + literals]
        at += literals
        if len(out) >= size:
            break
        (distance,) = struct.unpack_from("<H", data, at)
        at += 2
        if not 0 < distance <= len(out):
            raise IndexError
        count = 4 + length(token & 15)
        while count:
            piece = out[-distance:][:count]  # a copy may run into itself
            out += piece
            count -= len(piece)
    return bytes(out)


def _records(data: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    scopes: list[str] = []
    at = 0

    def text() -> str:
        nonlocal at
        end = data.index(b"\0", at)
        value = data[at:end].decode()
        at = end + 1
        return value

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = data[at]
        at += 1
        if tag == _SCOPE:
            at += 1
            scopes.append(text())
            text()  # the module's name
        elif tag == _UPSCOPE:
            scopes.pop()
        elif tag == _ATTRIBUTE:
            at += 2
            text()
            number()
        elif tag < _VARIABLES:
            at += 1
            name = text().replace(" ", "")
            bits = number()
            number()  # of the signal whose values these are
            found[".".join([*scopes, name])] = bits
        elif tag != _ATTRIBUTE_END:
            raise IndexError
    return found
