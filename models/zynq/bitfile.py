"""Bitstream files in the format of Xilinx tools: a header that describes the design, and the
payload.

::

    0009 0ff0 0ff0 0ff0 0ff0 00   magic
    0001                          1
    61 length design 00           design name; what is after semicolons is free
    62 length part 00             7z020clg400
    63 length date 00             2024/01/31
    64 length time 00             12:34:56
    65 length(4 bytes) payload    a multiple of 4 bytes, to the end of the file

Lengths are big endian, those of the four texts have 2 bytes and count the zero at the end.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

__all__ = ["BitFile", "read_bit", "short_part", "write_bit"]

_MAGIC = bytes.fromhex("00090ff00ff00ff00ff0000001")
_KEYS = ("design", "part", "date", "time")
_FIRST = ord("a")
_PAYLOAD = ord("e")
# Readers interpret the length of a text as a signed number.
_LONGEST = (1 << 15) - 1


def short_part(part: str) -> str:
    """Return a part as headers have it: ``7z020clg400`` for ``xc7z020clg400-1``."""
    return part.removeprefix("xc").split("-")[0]


@dataclass(frozen=True, kw_only=True)
class BitFile:
    """A bitstream and its header.

    Parameters
    ----------
    design, part : str
        ASCII.  `part` is what `short_part` makes of one.
    payload : bytes
        Configuration data, a positive multiple of 4 bytes.
    date, time : str
        ASCII.  Constants, so that equal designs give equal files.
    """

    design: str
    part: str
    payload: bytes
    date: str = "2000/01/01"
    time: str = "00:00:00"

    @property
    def sha256(self) -> str:
        """SHA-256 of the payload, hexadecimal: it pairs a bitstream with its description."""
        return hashlib.sha256(self.payload).hexdigest()


def write_bit(bit: BitFile) -> bytes:
    """Return the file's contents.

    Raises
    ------
    ValueError
        If a text is too long or not ASCII, or the payload is empty or no multiple of 4 bytes.
    """
    if not bit.payload or len(bit.payload) % 4:
        raise ValueError(
            f"payload must have a positive multiple of 4 bytes, not {len(bit.payload)}"
        )
    parts = [_MAGIC]
    for index, key in enumerate(_KEYS):
        text = getattr(bit, key)
        if not text.isascii() or "\0" in text or len(text) >= _LONGEST:
            raise ValueError(f"{key} must be ASCII of at most {_LONGEST - 1} characters")
        data = text.encode() + b"\0"
        parts += [struct.pack(">BH", _FIRST + index, len(data)), data]
    parts += [struct.pack(">BI", _PAYLOAD, len(bit.payload)), bit.payload]
    return b"".join(parts)


def read_bit(data: bytes) -> BitFile:
    """Return what a file holds.

    Raises
    ------
    ValueError
        If it is not a whole bitstream file.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("no bitstream header: not a .bit file")
    where = len(_MAGIC)
    texts = []
    try:
        for index, key in enumerate(_KEYS):
            tag, size = struct.unpack_from(">BH", data, where)
            where += 3
            if tag != _FIRST + index:
                raise ValueError(f"the header has tag {tag:#x} where the {key} should be")
            text = data[where : where + size]
            if not text.endswith(b"\0"):
                raise ValueError(f"the {key} in the header does not end")
            texts.append(text[:-1].decode("ascii"))
            where += size
        tag, size = struct.unpack_from(">BI", data, where)
    except (struct.error, UnicodeDecodeError):
        raise ValueError("the header of the .bit file is damaged") from None
    where += 5
    if tag != _PAYLOAD:
        raise ValueError(f"the header has tag {tag:#x} where the payload should be")
    if size != len(data) - where:
        raise ValueError(
            f"the header says {size} bytes of bitstream, there are {len(data) - where}: "
            "the file was cut short or added to"
        )
    if not size or size % 4:
        raise ValueError(f"the payload must have a positive multiple of 4 bytes, not {size}")
    design, part, date, time = texts
    return BitFile(design=design, part=part, payload=data[where:], date=date, time=time)
