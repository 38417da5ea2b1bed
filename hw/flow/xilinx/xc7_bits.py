"""Reading a finished bitstream back: its DSP and block RAM configuration against the FASM."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from penstock.hw.flow.errors import CheckError
from penstock.hw.flow.xilinx.fasm import Feature
from penstock.hw.flow.xilinx.xc7_database import Bit, Database

__all__ = ["compare", "expected_bits", "read_bits"]

_BIT = re.compile(r"bit_([\da-f]{8})_(\d{3})_(\d{2})\s*$")


def read_bits(path: Path) -> set[Bit]:
    """Read what `bitread` printed with ``-y``: the bits that are set.

    Raises
    ------
    CheckError
        If it is something else.
    """
    result = set()
    with open(path, encoding="ascii", errors="replace") as file:
        for number, line in enumerate(file, 1):
            match = _BIT.match(line)
            if match:
                result.add((int(match[1], 16), 32 * int(match[2]) + int(match[3])))
            elif line.strip():
                raise CheckError(f"{path.name}, line {number} is no bit: {line.strip()[:60]!r}")
    if not result:
        raise CheckError(f"{path.name} has no bits: the bitstream is empty")
    return result


def expected_bits(database: Database, fasm: Iterable[Feature]) -> set[Bit]:
    """Return the bits that FASM sets in the database's tiles."""
    bits: set[Bit] = set()
    for tile, name in fasm:
        # Permanent connections have no bits and are not in the table.
        if database.has(tile, name):
            bits.update(bit for bit, value in database.bits(tile, name) if value)
    return bits


def compare(
    database: Database, fasm: Iterable[Feature], bits: Collection[Bit], *, most: int = 5
) -> int:
    """Compare the bits of the database's tiles with those that FASM sets.

    Returns
    -------
    int
        The number of bits set.

    Raises
    ------
    CheckError
        If bits are set that FASM does not set, or the other way round; names the first `most`.
    """
    expected = expected_bits(database, fasm)
    wrong = []
    for bit in sorted(expected.symmetric_difference(bits)):
        owner = database.owner(bit)
        if owner is not None:
            state = "not set" if bit in expected else "set"
            wrong.append(f"{owner[0]}.{owner[1]} (bit {bit[1]} of frame {bit[0]:08x}) is {state}")
    if wrong:
        raise CheckError(
            f"the bitstream differs from its FASM in {len(wrong)} bits: {'; '.join(wrong[:most])}"
        )
    return len(expected)
