"""The simulated ULX3S of the tests: a small core, and the fastest possible serial port."""

from __future__ import annotations

import functools
from pathlib import Path

from penstock.hw.boards.ulx3s import CLOCK_HZ, Ulx3s
from penstock.hw.memory.sdram_chip import ULX3S_SDRAM
from penstock.models.spec.arch import get_arch
from penstock.sim.library.simulated_board import BoardModel, ModelPort, Timing, board_library

__all__ = ["ARCH", "BAUD", "new_model", "new_port"]

ARCH = get_arch("tiny")
BAUD = CLOCK_HZ // 4


@functools.cache
def _library() -> Path:
    return board_library(
        lambda: Ulx3s(arch=ARCH, baud=BAUD), identity=f"Ulx3s {ARCH.fingerprint:016x} {BAUD}"
    )


def new_model(*, skew: float = 0.0, delay: float = 5.0) -> BoardModel:
    """Return a board after power-up.

    Parameters
    ----------
    skew : float
        Relative error of the computer's baud rate against the board's.
    delay : float
        See `Timing`.
    """
    timing = Timing(clock_hz=CLOCK_HZ, baud=BAUD * (1 + skew), delay=delay)
    return BoardModel(_library(), chip=ULX3S_SDRAM, timing=timing)


def new_port() -> ModelPort:
    """Return the serial port of a board after power-up."""
    return ModelPort(new_model(), clock_hz=CLOCK_HZ)
