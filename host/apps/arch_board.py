"""The board of an arch: its name, its clock, and the link to its host."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.models.spec.arch import Arch

__all__ = ["ArchBoard", "board_of"]

# Clock for times in seconds if the arch is no board's.
_MHZ = 100.0

# Bits of a byte on a serial line: eight data bits, a start bit, a stop bit.
_FRAME = 10


@dataclass(frozen=True)
class ArchBoard:
    """The board that an arch runs on.

    Parameters
    ----------
    title : str
        The board's name; for an arch that is no board's, the assumed platform.
    mhz : float
        Target clock of its bitstream.
    link : float or None
        Bytes a second of the serial link to it; None: the processor is on the board.
    """

    title: str
    mhz: float
    link: float | None = None


def board_of(arch: Arch) -> ArchBoard:
    """Return the board whose bitstreams have this arch."""
    try:
        from penstock.hw.boards.catalog import BOARDS

        found = [b for b in BOARDS.values() if b.preset.fingerprint == arch.fingerprint]
    except ModuleNotFoundError:  # only the host is installed
        found = []
    if not found:
        return ArchBoard(
            f"a PYNQ board's processor with an array of arch {arch.name}, which is no board's own",
            _MHZ,
        )
    title = " or ".join(board.title for board in found)
    mhz = found[0].target_mhz
    baud = getattr(found[0].host, "baud", None)
    return ArchBoard(title, mhz, None if baud is None else baud / _FRAME)
