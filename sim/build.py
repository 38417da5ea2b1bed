"""The simulation library: an Amaranth component, Verilated, with the memory model, as a ``.so``.

Everything is built on first use and cached by content, in three steps::

    sources + parameters  --Amaranth, Yosys-->  Verilog        accel-KEY.sv
    Verilog + harness     --Verilator, g++-->   library        accel-KEY.so
    Verilator's runtime   --g++-->              object files   runtime-KEY.o

A change in the sources that leaves the Verilog as it was costs no compilation.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from amaranth.lib import wiring

from models.arch import Arch
from sim.cxx import FLAGS, SHIMS, Progress, compile_units, runtime, say, translate
from sim.toolchain import (
    ToolError,
    cache_dir,
    call,
    compiler,
    compiler_identity,
    digest,
    locked,
    versions,
)
from sim.verilog import to_verilog

__all__ = ["Progress", "build_library", "library", "verilog"]

_HERE = Path(__file__).resolve().parent
_HARNESS = (_HERE / "harness.cpp", _HERE / "memory.h", *SHIMS)
_VERILATOR_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000")


def library(arch: Arch, *, waves: bool = False, progress: Progress | None = None) -> Path:
    """Path of the simulation library of the whole core for `arch`, built if it is not cached.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """

    def make() -> wiring.Component:
        from sim.top import SimulationTop  # only when there is something to build: it takes a while

        return SimulationTop(arch=arch)

    text = verilog(
        make,
        identity=f"Accel {arch.fingerprint:016x}",
        sources=(_HERE / "top.py",),
        progress=progress,
    )
    return build_library(text, waves=waves, progress=progress)


def verilog(
    make: Callable[[], wiring.Component],
    *,
    identity: str,
    sources: Sequence[Path] = (),
    progress: Progress | None = None,
) -> str:
    """Verilog of the component that `make` returns, as module ``accel``.

    Parameters
    ----------
    make : callable
        Called only if the cache has no Verilog yet.
    identity : str
        Names the component and its parameters.
    sources : sequence of Path
        Files the component is made from, besides those in ``hw`` and ``models``.
    progress : callable or None
    """
    files = [*_package_files("hw"), *_package_files("models"), *sources]
    key = digest(
        [identity, versions(), Path(inspect.getfile(to_verilog)).read_bytes()]
        + [part for file in files for part in (file.name, file.read_bytes())]
    )
    path = cache_dir() / f"accel-{key}.sv"
    with locked(path.with_suffix(".sv.lock")):
        if not path.exists():
            say(progress, "generating Verilog")
            _write(path, to_verilog(make(), name="accel", zero_memories=False).encode())
        return path.read_text()


def build_library(text: str, *, waves: bool = False, progress: Progress | None = None) -> Path:
    """Compile the Verilog `text`, whose top module ``accel`` has the ports of the core.

    Parameters
    ----------
    text : str
    waves : bool
        Whether the library can write FST waves, which makes it slower.
    progress : callable or None

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    cxx = compiler()
    harness = [path.read_bytes() for path in _HARNESS]
    flags = " ".join((*_VERILATOR_FLAGS, *FLAGS))
    parts = [text, *harness, flags, versions(), compiler_identity(), str(waves)]
    path = cache_dir() / f"accel-{digest(parts)}.so"
    with locked(path.with_suffix(".so.lock")):
        if path.exists():
            return path
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache_dir()) as name:
            folder = Path(name)
            units = translate(
                text,
                folder,
                top="accel",
                prefix="Vaccel",
                flags=_VERILATOR_FLAGS,
                waves=waves,
                progress=progress,
            )
            objects = compile_units(
                [_HARNESS[0], *units], folder, waves=waves, what="the core", progress=progress
            )
            objects += runtime(waves=waves, progress=progress)
            say(progress, "linking")
            result = folder / "accel.so"
            call([cxx, "-shared", "-o", result, *objects, "-pthread"])
            os.replace(result, path)
    return path


def _package_files(name: str) -> list[Path]:
    return sorted((_HERE.parent / name).glob("*.py"))


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    try:
        os.replace(file.name, path)
    except OSError as error:
        os.unlink(file.name)
        raise ToolError(f"{path}: {error.strerror}") from error
