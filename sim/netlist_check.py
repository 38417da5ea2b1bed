"""From the netlist of a chip to a simulation that runs programs."""

from __future__ import annotations

from pathlib import Path

from hw import tang_nano, ulx3s
from hw.sdram_chip import ULX3S_SDRAM
from sim import board_netlist, pynq_netlist
from sim.board import BoardModel, ModelPort, Timing, build_board
from sim.build import build_library
from sim.cells import Cells
from sim.cells_ecp5 import Ecp5Cells
from sim.cells_gowin import GowinCells
from sim.cxx import Progress, say
from sim.netlist import Netlist

__all__ = ["netlist_board", "netlist_library"]

_CELLS: dict[str, Cells] = {"ecp5": Ecp5Cells(), "gowin": GowinCells()}
_TIMING = {
    "ecp5": Timing(clock_hz=ulx3s.CLOCK_HZ, baud=ulx3s.BAUD),
    "gowin": Timing(clock_hz=tang_nano.CLOCK_HZ, baud=tang_nano.BAUD),
}


def netlist_library(path: Path, *, toolchain: str, progress: Progress | None = None) -> Path:
    """Path of the simulation library of a netlist, with the interface of `sim.build.library`.

    Parameters
    ----------
    path : Path
        What Yosys wrote with ``write_json``.
    toolchain : str
        Whose cells it has: ``openxc7``, the top being a `hw.pynq_z2.PynqTop`.
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
        ``ecp5``: of a `hw.ulx3s_top.Ulx3sTop`; ``gowin``: of a `hw.tang_nano_top.TangNanoTop`.
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
