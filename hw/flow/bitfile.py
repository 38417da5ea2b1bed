"""The ``.bit`` file of 7-series devices: a header, and the configuration stream.

The header, as pynq and the vendor's tools read it::

    length, 9 bytes that never change, 00 01
    'a' length  design name, with options after semicolons
    'b' length  part without its "xc" and speed, such as 7z020clg400
    'c' length  date, yyyy/mm/dd
    'd' length  time, hh:mm:ss
    'e' length  the stream

Lengths have 2 bytes, the stream's has 4, most significant first; texts end with a zero byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["BitFile", "BitFormatError", "short_part"]

_MAGIC = bytes.fromhex("00090ff00ff00ff00ff000 0001".replace(" ", ""))
_KEYS = b"abcd"

# pynq reads the lengths of texts as signed numbers.
_MAX_TEXT = 0x7FFF


class BitFormatError(ValueError):
    """Bytes that are not a ``.bit`` file; the message says where."""


def short_part(part: str) -> str:
    """Part as the header has it: ``7z020clg400`` for ``xc7z020clg400-1``."""
    return part.removeprefix("xc").split("-")[0]


@dataclass(frozen=True, kw_only=True)
class BitFile:
    """What a ``.bit`` file says.

    Parameters
    ----------
    design : str
    part : str
        As `short_part` makes it.
    payload : bytes
        The configuration stream, whole 32-bit words.
    date, time : str
        Nothing depends on them: constants, so that the same design is the same file.
    """

    design: str
    part: str
    payload: bytes
    date: str = "2000/01/01"
    time: str = "00:00:00"

    def __post_init__(self) -> None:
        if not self.payload or len(self.payload) % 4:
            raise ValueError(f"payload must be whole 32-bit words, not {len(self.payload)} bytes")
        for name in ("design", "part", "date", "time"):
            text = getattr(self, name)
            if not text.isascii() or "\0" in text or len(text) >= _MAX_TEXT:
                raise ValueError(f"{name} must be short ASCII text, not {text[:40]!r}")

    def encode(self) -> bytes:
        """Return the file's bytes."""
        result = bytearray(_MAGIC)
        for key, text in zip(_KEYS, (self.design, self.part, self.date, self.time)):
            data = text.encode("ascii") + b"\0"
            result += struct.pack(">BH", key, len(data)) + data
        result += b"e" + struct.pack(">I", len(self.payload)) + self.payload
        return bytes(result)

    @staticmethod
    def decode(data: bytes) -> BitFile:
        """Read a file's bytes.

        Raises
        ------
        BitFormatError
            If they are not a ``.bit`` file, or do not end where it says.
        """
        if not data.startswith(_MAGIC):
            raise BitFormatError("not a .bit file: its first bytes are another format's")
        at = len(_MAGIC)
        texts = []
        for key in _KEYS:
            try:
                found, length = struct.unpack_from(">BH", data, at)
            except struct.error:
                raise BitFormatError(f"the header ends at byte {at}") from None
            if found != key:
                raise BitFormatError(f"byte {at} must be {chr(key)!r}, not {chr(found)!r}")
            text = data[at + 3 : at + 3 + length]
            if len(text) != length or not text.endswith(b"\0"):
                raise BitFormatError(f"the text at byte {at + 3} does not end")
            texts.append(text[:-1].decode("latin-1"))
            at += 3 + length
        if data[at : at + 1] != b"e" or len(data) < at + 5:
            raise BitFormatError(f"byte {at} must begin the configuration stream")
        (length,) = struct.unpack_from(">I", data, at + 1)
        payload = data[at + 5 :]
        if len(payload) != length or length % 4 or not length:
            raise BitFormatError(
                f"the stream must have {length} bytes, whole words, but {len(payload)} follow"
            )
        design, part, date, time = texts
        return BitFile(design=design, part=part, payload=payload, date=date, time=time)
