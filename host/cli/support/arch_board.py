"""The board that an arch is for: its name, its clock, and where its processor is."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from penstock.models.spec.arch import Arch

__all__ = ["ArchBoard", "board_of"]

# The clock that seconds are told for where an arch is no board's.
_MHZ = 100.0

# Bits of a byte on a serial line: its own, a start bit, a stop bit.
_FRAME = 10


@dataclass(frozen=True)
class ArchBoard:
    """Where an arch runs.

    Parameters
    ----------
    title : str
        The board's name; of an arch that is no board's, what is assumed.
    mhz : float
        The clock that its bitstream must reach.
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
    except ModuleNotFoundError:  # where only the host is installed
        found = []
    if not found:
        return ArchBoard(
            f"a PYNQ board's processor with an array of arch {arch.name}, which is no board's own",
            _MHZ,
        )
    title = " or ".join(board.title for board in found)
    mhz = found[0].target_mhz
    link = _link(arch.name)
    return ArchBoard(title, mhz, link)


def _link(name: str) -> float | None:
    """Bytes a second of the link of the device for a board's arch, if it has one."""
    device = {"ulx3s-85f": "ulx3s", "tang-nano-20k": "tang_nano_20k"}.get(name)
    if device is None:
        return None
    module = importlib.import_module(f"penstock.host.devices.serial.{device}")
    return float(module.BAUD) / _FRAME
