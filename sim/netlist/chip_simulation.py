"""Builds a simulation that runs programs from the netlist of a chip."""

from __future__ import annotations

from pathlib import Path

from penstock.hw.boards.board import Board, Serial
from penstock.hw.flow.toolchain import get_toolchain
from penstock.hw.memory.sdram_chip import SdramChip
from penstock.sim.library.build import build_library
from penstock.sim.library.cxx import Progress, say
from penstock.sim.library.simulated_board import BoardModel, ModelPort, Timing, build_board
from penstock.sim.netlist import board_netlist, pynq_netlist
from penstock.sim.netlist.cells import Cells
from penstock.sim.netlist.cells_ecp5 import Ecp5Cells
from penstock.sim.netlist.cells_gowin import GowinCells
from penstock.sim.netlist.cells_xc7 import Xc7
from penstock.sim.netlist.netlist import Netlist

__all__ = ["CELLS", "netlist_board", "netlist_library"]

# Models of cells by the family of a tool chain (`hw.flow.toolchain.Toolchain.FAMILY`).
CELLS: dict[str, Cells] = {"ecp5": Ecp5Cells(), "gowin": GowinCells(), "xc7": Xc7()}


def _netlist(path: Path, board: Board, progress: Progress | None) -> Netlist:
    say(progress, "reading the netlist")
    return Netlist(path, family=CELLS[get_toolchain(board).FAMILY])


def netlist_library(path: Path, board: Board, *, progress: Progress | None = None) -> Path:
    """Path of a netlist's simulation library; the interface is that of `sim.library.build.library`.

    Parameters
    ----------
    path : Path
        The file written by Yosys' ``write_json``.
    board : Board
        One whose host is its processor.
    progress : callable or None

    Raises
    ------
    ValueError
        If it is not the netlist of such a board.
    ToolError
        If a tool is missing or fails.
    """
    text = pynq_netlist.verilog(_netlist(path, board, progress))
    # For some ten thousand cycles, whatever makes the compiler quicker pays.
    return build_library(text, top="pynq", level="-O0", progress=progress)


def netlist_board(path: Path, board: Board, *, progress: Progress | None = None) -> ModelPort:
    """Return the serial port of a simulated board with a netlist in its FPGA.

    Parameters
    ----------
    path : Path
        The file written by Yosys' ``write_json``.
    board : Board
        One whose host is on a serial port.
    progress : callable or None

    Raises
    ------
    ValueError
        If it is not the netlist of such a board.
    ToolError
        If a tool is missing or fails.
    """
    if not isinstance(board.host, Serial):
        raise ValueError(f"{board.name} has no serial port")
    text = board_netlist.verilog(_netlist(path, board, progress), board.host.pins)
    chip = board.memory if isinstance(board.memory, SdramChip) else None
    library = build_board(text, sdram=chip is not None, level="-O1", progress=progress)
    timing = Timing(clock_hz=board.clock_hz, baud=board.host.baud)
    return ModelPort(BoardModel(library, chip=chip, timing=timing), clock_hz=timing.clock_hz)
