"""The compiled simulation, built on first use or found in the cache.

The one place outside the command line where `host` reaches into `sim`: inside a function, because a
board has no simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from host.device import DeviceError
from models.arch import Arch

__all__ = ["simulation_library"]


def simulation_library(
    arch: Arch,
    *,
    top: str = "accel",
    waves: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the path of the library; the parameters are those of `sim.build.library`.

    Raises
    ------
    DeviceError
        If a package or tool is missing, or a tool fails.
    """
    try:
        from sim.build import library
        from sim.toolchain import ToolError
    except ModuleNotFoundError as error:
        raise DeviceError(
            f"the package {error.name} is missing: pip install 'penstock[sim]'"
        ) from None
    try:
        return library(arch, top=top, waves=waves, progress=progress)
    except ToolError as error:
        raise DeviceError(str(error)) from None
