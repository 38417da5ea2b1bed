"""From the netlist of a chip to a simulation that runs programs."""

from __future__ import annotations

from pathlib import Path

from penstock.hw.boards import tang_nano, ulx3s
from penstock.hw.memory.sdram_chip import ULX3S_SDRAM
from penstock.sim.library.build import build_library
from penstock.sim.library.cxx import Progress, say
from penstock.sim.library.simulated_board import BoardModel, ModelPort, Timing, build_board
from penstock.sim.netlist import board_netlist, pynq_netlist
from penstock.sim.netlist.cells import Cells
from penstock.sim.netlist.cells_ecp5 import Ecp5Cells
from penstock.sim.netlist.cells_gowin import GowinCells
from penstock.sim.netlist.netlist import Netlist

__all__ = ["netlist_board", "netlist_library"]

_CELLS: dict[str, Cells] = {"ecp5": Ecp5Cells(), "gowin": GowinCells()}
_TIMING = {
    "ecp5": Timing(clock_hz=ulx3s.CLOCK_HZ, baud=ulx3s.BAUD),
    "gowin": Timing(clock_hz=tang_nano.CLOCK_HZ, baud=tang_nano.BAUD),
}


def netlist_library(path: Path, *, toolchain: str, progress: Progress | None = None) -> Path:
    """Path of a netlist's simulation library; the interface is that of `sim.library.build.library`.

    Parameters
    ----------
    path : Path
        What Yosys wrote with ``write_json``.
    toolchain : str
        Whose cells it has: ``openxc7``, the top being a `hw.boards.pynq_z2.PynqTop`.
    progress : callable or None

    Raises
    ------
    ValueError
        If it is not such a netlist, or there is no such tool chain.
    ToolError
        If a tool is missing or fails.
    """
    if toolchain != "openxc7":
        raise ValueError(f"netlists of {toolchain} cannot be simulated")
    say(progress, "reading the netlist")
    text = pynq_netlist.verilog(Netlist(path))
    # For some ten thousand cycles, whatever makes the compiler quicker pays.
    return build_library(text, top="pynq", level="-O0", progress=progress)


def netlist_board(
    path: Path, *, toolchain: str, progress: Progress | None = None
) -> tuple[ModelPort, int]:
    """Return the serial port of a simulated board with a netlist in its FPGA, and its baud rate.

    Parameters
    ----------
    path : Path
        What Yosys wrote with ``write_json``.
    toolchain : str
        ``ecp5``: of a `hw.boards.ulx3s_top.Ulx3sTop`; ``gowin``: of a
        `hw.boards.tang_nano_top.TangNanoTop`.
    progress : callable or None

    Raises
    ------
    ValueError
        If it is not such a netlist, or there is no such tool chain.
    ToolError
        If a tool is missing or fails.
    """
    if toolchain not in _CELLS:
        raise ValueError(f"netlists of {toolchain} cannot be simulated")
    say(progress, "reading the netlist")
    netlist = Netlist(path, family=_CELLS[toolchain])
    text = board_netlist.verilog(netlist, board_netlist.PINS[toolchain])
    chip = ULX3S_SDRAM if toolchain == "ecp5" else None
    library = build_board(text, sdram=chip is not None, level="-O1", progress=progress)
    timing = _TIMING[toolchain]
    model = BoardModel(library, chip=chip, timing=timing)
    return ModelPort(model, clock_hz=timing.clock_hz), round(timing.baud)
