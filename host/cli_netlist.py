"""The check of a netlist that `penstock bitstream` makes before place and route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from host.cli_errors import one_line
from host.device import DeviceError
from host.netlist_check import NetlistError, check_board, check_library
from models.arch import Arch
from models.hwh import CSR_BASE

__all__ = ["check_netlist"]


def check_netlist(netlist: Path, board: Any, arch: Arch, say: Callable[[str], None]) -> str:
    """Simulate a netlist and compare it with the golden model; return what was compared.

    Parameters
    ----------
    netlist : Path
        What Yosys wrote with ``write_json``.
    board : hw.flow.board.Board
    arch : Arch
    say : callable
        Called with what happens now.

    Raises
    ------
    CheckError
        If it computes something else, or cannot be simulated.
    """
    from hw.flow.errors import CheckError
    from sim.netlist_check import netlist_board, netlist_library
    from sim.toolchain import ToolError

    try:
        if board.toolchain == "openxc7":
            library = netlist_library(netlist, toolchain=board.toolchain, progress=say)
            return check_library(library, arch, registers=CSR_BASE, say=say)
        port, baud = netlist_board(netlist, toolchain=board.toolchain, progress=say)
        return check_board(port, arch, baud=baud, memory=port.model.memory, say=say)
    except (ValueError, ToolError, DeviceError, NetlistError) as error:
        raise CheckError(f"netlist: {one_line(error)}") from None
