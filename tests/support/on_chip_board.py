"""Simulated boards whose memory is in the FPGA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.models.spec.arch import Arch
from penstock.sim.library.simulated_board import BoardModel, ModelPort, Timing, board_library

__all__ = ["new_port"]


def new_port(board: Callable[..., Any], arch: Arch, *, clock_hz: int, baud: int) -> ModelPort:
    """Return the serial port of a board that was just switched on.

    Parameters
    ----------
    board : class
        What is on the FPGA; made of `arch` and `baud`.
    arch : Arch
    clock_hz, baud : int
    """
    library = board_library(
        lambda: board(arch=arch, baud=baud),
        identity=f"{board.__name__} {arch.fingerprint:016x} {baud}",
        sdram=False,
    )
    model = BoardModel(library, chip=None, timing=Timing(clock_hz=clock_hz, baud=baud))
    return ModelPort(model, clock_hz=clock_hz)
