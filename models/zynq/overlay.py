"""An overlay: a bitstream and its description, two files with the same base name."""

from __future__ import annotations

from pathlib import Path

from penstock.models.spec.arch import Arch
from penstock.models.zynq.bitfile import BitFile, short_part, write_bit
from penstock.models.zynq.hwh import PART, Handoff, write_hwh

__all__ = ["describe", "overlay_bit", "write_overlay"]


def describe(
    bit: BitFile, *, arch: Arch, divisors: tuple[int, int], part: str = PART
) -> tuple[Handoff, str]:
    """Return what a bitstream's ``.hwh`` file says, and its text.

    Parameters
    ----------
    bit : BitFile
    arch : Arch
        What the bitstream holds.
    divisors : (int, int)
        Of FCLK0.
    part : str
        Such as ``xc7z020clg400-1``.

    Raises
    ------
    ValueError
        If a value cannot be.
    """
    handoff = Handoff(
        arch=arch.name,
        fingerprint=arch.fingerprint,
        divisors=divisors,
        payload_sha256=bit.sha256,
        part=part,
    )
    return handoff, write_hwh(handoff)


def overlay_bit(
    arch: Arch, payload: bytes, *, part: str = PART, design: str = "penstock"
) -> BitFile:
    """Return a bitstream with a header that names the design, the arch and the part."""
    return BitFile(design=f"{design};Arch={arch.name}", part=short_part(part), payload=payload)


def write_overlay(
    path: Path, *, arch: Arch, payload: bytes, divisors: tuple[int, int], part: str = PART
) -> Handoff:
    """Write the ``.bit`` file at `path` and the ``.hwh`` file beside it; return what they say.

    Parameters
    ----------
    path : Path
    payload : bytes
        Configuration data, whole 32-bit words.
    arch, divisors, part
        As for `describe`.

    Raises
    ------
    ValueError
        If a value cannot be; nothing is written then.
    """
    bit = overlay_bit(arch, payload, part=part, design=path.stem)
    handoff, text = describe(bit, arch=arch, divisors=divisors, part=part)
    data = write_bit(bit)
    path.write_bytes(data)
    path.with_suffix(".hwh").write_text(text, encoding="utf-8")
    return handoff
