"""The check of a netlist that `penstock bitstream` makes before place and route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.host.apps.netlist_check import NetlistError, check_board, check_library
from penstock.host.cli.support.exit_status import one_line
from penstock.host.devices.device import DeviceError
from penstock.models.spec.arch import Arch

__all__ = ["check_netlist"]


def check_netlist(netlist: Path, board: Any, arch: Arch, say: Callable[[str], None]) -> str:
    """Simulate a netlist and compare it with the golden model; return a summary of the comparison.

    Parameters
    ----------
    netlist : Path
        The file written by Yosys' ``write_json``.
    board : hw.boards.board.Board
    arch : Arch
    say : callable
        Called with a description of each step.

    Raises
    ------
    CheckError
        If a result differs, or the netlist cannot be simulated.
    """
    from penstock.hw.boards.board import Processor
    from penstock.hw.flow.errors import CheckError
    from penstock.sim.library.toolchain import ToolError
    from penstock.sim.netlist.chip_simulation import netlist_board, netlist_library

    try:
        if isinstance(board.host, Processor):
            library = netlist_library(netlist, board, progress=say)
            return check_library(library, arch, registers=board.host.registers, say=say)
        port = netlist_board(netlist, board, progress=say)
        return check_board(port, arch, baud=board.host.baud, memory=port.model.memory, say=say)
    except (ValueError, ToolError, DeviceError, NetlistError) as error:
        raise CheckError(f"netlist: {one_line(error)}") from None
