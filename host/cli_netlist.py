"""The check of a netlist that `penstock bitstream` makes before place and route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from host.cli_errors import one_line
from host.device import DeviceError
from host.netlist_check import NetlistError, check_library
from models.arch import Arch

if TYPE_CHECKING:
    from hw.flow.board import Board

__all__ = ["check_netlist"]


def check_netlist(netlist: Path, board: Board, arch: Arch, say: Callable[[str], None]) -> str:
    """Simulate a netlist and compare it with the golden model; return what was compared.

    Parameters
    ----------
    netlist : Path
        What Yosys wrote with ``write_json``.
    board : Board
    arch : Arch
    say : callable
        Called with what happens now.

    Raises
    ------
    CheckError
        If it computes something else, or cannot be simulated.
    """
    from hw.flow.errors import CheckError
    from sim.netlist_check import netlist_library
    from sim.toolchain import ToolError

    try:
        library = netlist_library(netlist, arch, toolchain=board.toolchain, progress=say)
        return check_library(library, arch, say=say)
    except (ValueError, ToolError, DeviceError, NetlistError) as error:
        raise CheckError(f"netlist: {one_line(error)}") from None
