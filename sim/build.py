"""The simulation library: an Amaranth component, Verilated, with the memory model, as a ``.so``.

Everything is built on first use and cached by content, in three steps::

    sources + parameters  --Amaranth, Yosys-->  Verilog        verilog-KEY.sv
    Verilog + harness     --Verilator, g++-->   library        accel-KEY.so
    Verilator's runtime   --g++-->              object files   runtime-KEY.o

A change in the sources that leaves the Verilog as it was costs no compilation.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from amaranth.lib import wiring

from models.arch import Arch
from sim.cxx import FLAGS, SHIMS, Progress, compile_units, runtime, say, translate
from sim.roll import roll
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
_ARITHMETIC = _HERE / "arithmetic.h"
_INTERFACE = _HERE / "interface.map"
_HARNESS = (_HERE / "harness.cpp", _HERE / "memory.h", _ARITHMETIC, _INTERFACE, *SHIMS)
# The bus models, by what they drive: the core by itself, or with the ports of a Zynq.
_TOPS = {"accel": _HERE / "top_accel.h", "pynq": _HERE / "top_pynq.h"}
# The recording variant has these besides.
_RECORDER = (_HERE / "recorder.vlt", _HERE / "recorder.h")
# Of the generated class: the clock as it was at the last evaluation.
_CLOCK = "__Vtrigprevexpr___TOP__clk__0"
_VERILATOR_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000")


def library(
    arch: Arch,
    *,
    top: str = "accel",
    waves: bool = False,
    record: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Path of the simulation library of the whole core for `arch`, built if it is not cached.

    Parameters
    ----------
    arch : Arch
    top : str
        ``accel``: `hw.accel.Accel`; ``pynq``: `hw.pynq_z2.PynqCore`.
    waves, record, progress
        As in `build_library`.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    _check_top(top)

    def make() -> wiring.Component:
        # Only when there is something to build: it takes a while.
        if top == "pynq":
            from hw.pynq_z2 import PynqCore

            return PynqCore(arch=arch)
        from hw.accel import Accel

        return Accel(arch=arch)

    compiler()  # better missing now than after the Verilog
    with ThreadPoolExecutor(1) as pool:
        # The other core has nothing to do while the Verilog is generated.
        pool.submit(runtime, waves=waves)
        text = verilog(make, identity=f"{top} {arch.fingerprint:016x}", progress=progress)
    return build_library(text, top=top, waves=waves, record=record, progress=progress)


def verilog(
    make: Callable[[], wiring.Component],
    *,
    identity: str,
    sources: Sequence[Path] = (),
    name: str = "accel",
    zero_memories: bool = False,
    progress: Progress | None = None,
) -> str:
    """Verilog of the component that `make` returns; cached.

    Parameters
    ----------
    make : callable
        Called only if the cache has no Verilog yet.
    identity : str
        Names the component and its parameters.
    sources : sequence of Path
        Files the component is made from, besides those in ``hw`` and ``models``.
    name, zero_memories
        As in `sim.verilog.to_verilog`.
    progress : callable or None
    """
    files = [*_package_files("hw"), *_package_files("models"), *sources]
    parts: list[str | bytes] = [identity, name, str(zero_memories), versions()]
    parts.append(Path(inspect.getfile(to_verilog)).read_bytes())
    for file in files:
        parts += [file.name, file.read_bytes()]
    key = digest(parts)
    path = cache_dir() / f"verilog-{key}.sv"
    with locked(path.with_suffix(".sv.lock")):
        if not path.exists():
            say(progress, "generating Verilog")
            text = to_verilog(make(), name=name, zero_memories=zero_memories)
            _write(path, text.encode())
        return path.read_text()


def build_library(
    text: str,
    *,
    top: str = "accel",
    waves: bool = False,
    record: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Compile the Verilog `text`, whose module ``accel`` has the ports that `top` stands for.

    Parameters
    ----------
    text : str
    top : str
        As in `library`.
    waves : bool
        Whether the library can write FST waves, which makes it slower.
    record : bool
        Whether the library records what its engines do, which makes it slower.
    progress : callable or None

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    _check_top(top)
    cxx = compiler()
    if not waves:  # which show the cells one by one
        text = roll(text)
    parts: list[str | bytes] = [text, *_VERILATOR_FLAGS, *FLAGS, versions(), compiler_identity()]
    inside = _RECORDER if record else ()
    parts += [path.read_bytes() for path in (*_HARNESS, *inside, _TOPS[top], Path(__file__))]
    parts += [top, str(waves)]
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
                flags=[*_VERILATOR_FLAGS, *([_RECORDER[0]] if record else [])],
                waves=waves,
                progress=progress,
            )
            clock = _CLOCK in (folder / "Vaccel___024root.h").read_text()
            flags: list[str | Path] = ["-include", _ARITHMETIC]
            flags.append(f'-DPENSTOCK_TOP="{_TOPS[top].name}"')
            flags += [f"-DPENSTOCK_CLOCK={_CLOCK}"] if clock else []
            flags += ["-DPENSTOCK_RECORD"] if record else []
            objects = compile_units(
                [_HARNESS[0], *units],
                folder,
                level="-O3",
                flags=flags,
                waves=waves,
                what="the core",
                progress=progress,
            )
            objects += runtime(waves=waves, progress=progress)
            say(progress, "linking")
            result = folder / "accel.so"
            interface = f"-Wl,--version-script={_INTERFACE}"
            call([cxx, "-shared", interface, "-o", result, *objects, "-pthread"])
            os.replace(result, path)
    return path


def _check_top(top: str) -> None:
    if top not in _TOPS:
        raise ValueError(f"top must be one of {', '.join(_TOPS)}, not {top!r}")


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
