"""From the netlist of a chip to a simulation library that runs programs."""

from __future__ import annotations

from pathlib import Path

from models.arch import Arch
from sim import pynq_netlist
from sim.build import build_library
from sim.cxx import Progress, say
from sim.netlist import Netlist

__all__ = ["netlist_library"]


def netlist_library(
    path: Path, arch: Arch, *, toolchain: str, progress: Progress | None = None
) -> Path:
    """Path of the simulation library of a netlist, with the interface of `sim.build.library`.

    Parameters
    ----------
    path : Path
        What Yosys wrote with ``write_json``.
    arch : Arch
        What it was synthesised for.
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
    text = pynq_netlist.verilog(Netlist(path), arch)
    return build_library(text, top="pynq", progress=progress)
