"""The simulation library: an Amaranth component, Verilated, with the memory model, as a ``.so``.

Everything is built on first use and cached by content, in three steps::

    sources + parameters  --Amaranth, Yosys-->  Verilog        verilog-KEY.sv
    Verilog + harness     --Verilator, g++-->   library        accel-KEY.so
    Verilator's runtime   --g++-->              object files   runtime-KEY.o

A change in the sources that does not change the Verilog needs no compilation.

A library can be trained (profile-guided optimisation): it is compiled, run briefly, and compiled
again with the profile of that run.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from amaranth.lib import wiring

from penstock.models.spec.arch import Arch
from penstock.models.spec.cache_folder import cache_dir, digest
from penstock.sim.library.cxx import (
    FLAGS,
    SHIMS,
    Progress,
    compile_units,
    runs_once,
    runtime,
    say,
    translate,
)
from penstock.sim.library.entries import cached
from penstock.sim.library.roll import roll
from penstock.sim.library.toolchain import (
    ToolError,
    call,
    compiler,
    compiler_identity,
    versions,
    workers,
)
from penstock.sim.library.verilog import to_verilog

__all__ = ["Progress", "Train", "build_library", "hardware_sources", "library", "verilog"]

# Called with the path of a temporary library.
Train = Callable[[Path], None]

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
# Packages that `hw` may import, enforced by tests/system/test_imports.py.
_SOURCES = (
    *("hw/lib", "hw/bus", "hw/array", "hw/engines", "hw/core", "hw/memory", "hw/link"),
    *("hw/floorplan", "hw/boards"),
    *("models/spec", "models/golden", "models/zynq"),
)
_ARITHMETIC = _HERE / "arithmetic.h"
_INTERFACE = _HERE / "interface.map"
_HARNESS = (_HERE / "harness.cpp", _HERE / "memory.h", _ARITHMETIC, _INTERFACE, *SHIMS)
# Bus models by top: the core itself, or with the ports of a Zynq.
_TOPS = {
    "accel": _HERE / "top_accel.h",
    "covered": _HERE / "top_accel.h",
    "pynq": _HERE / "top_pynq.h",
}
# Additional sources of the recording variant.
_RECORDER = (_HERE / "recorder.vlt", _HERE / "recorder.h")
# Member of the generated class: the clock at the last evaluation.
_CLOCK = "__Vtrigprevexpr___TOP__clk__0"
_VERILATOR_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000")


def library(
    arch: Arch,
    *,
    top: str = "accel",
    waves: bool = False,
    record: bool = False,
    train: Train | None = None,
    progress: Progress | None = None,
) -> Path:
    """Path of the simulation library of the whole core for `arch`, built if it is not cached.

    Parameters
    ----------
    arch : Arch
    top : str
        ``accel``: `hw.core.accel.Accel`; ``covered``: `sim.coverage.covered.CoveredAccel`, the same
        with branch coverage; ``pynq``: `hw.boards.pynq_z2.PynqCore`.
    waves, record, train, progress
        As in `build_library`.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    _check_top(top)

    def make() -> wiring.Component:
        # Imported only if something must be built, as it takes long.
        if top == "pynq":
            from penstock.hw.boards.pynq_z2 import PynqCore

            return PynqCore(arch=arch)
        if top == "covered":
            from penstock.sim.coverage.covered import CoveredAccel

            return CoveredAccel(arch=arch)
        from penstock.hw.core.accel import Accel

        return Accel(arch=arch)

    compiler()  # if it is missing, fail before the Verilog is generated
    with workers(1) as pool:
        # Verilator's runtime compiles on another core while the Verilog is generated.
        pool.submit(runtime, waves=waves)
        text = verilog(
            make,
            identity=f"{top} {arch.fingerprint:016x}",
            sources=[_ROOT / "sim" / "coverage" / "covered.py"] if top == "covered" else [],
            progress=progress,
        )
    return build_library(text, top=top, waves=waves, record=record, train=train, progress=progress)


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
        Called only if the Verilog is not cached.
    identity : str
        Names the component and its parameters.
    sources : sequence of Path
        Source files of the component besides `hardware_sources`.
    name, zero_memories
        As in `sim.library.verilog.to_verilog`.
    progress : callable or None
    """
    parts: list[str | bytes] = [identity, name, str(zero_memories), versions()]
    parts.append(Path(inspect.getfile(to_verilog)).read_bytes())
    for file in [*hardware_sources(), *sources]:
        parts += [str(file.relative_to(_ROOT)) if _ROOT in file.parents else file.name]
        parts += [file.read_bytes()]
    key = digest(parts)
    path = cache_dir() / f"verilog-{key}.sv"

    def generate(folder: Path) -> Path:
        say(progress, "generating Verilog")
        text = to_verilog(make(), name=name, zero_memories=zero_memories)
        target = folder / "top.sv"
        target.write_text(text)
        return target

    return cached(path, generate).read_text()


def build_library(
    text: str,
    *,
    top: str = "accel",
    waves: bool = False,
    record: bool = False,
    train: Train | None = None,
    level: str = "-O3",
    progress: Progress | None = None,
) -> Path:
    """Compile the Verilog `text`, whose module ``accel`` has the ports of `top`.

    Parameters
    ----------
    text : str
    top : str
        As in `library`.
    waves : bool
        Whether the library can write FST waves, which makes it slower.
    record : bool
        Whether the library records what its engines do, which makes it slower.
    train : callable or None
        Called with the path of a slow library, on which it runs a typical load; with the profile
        the final library is a fifth faster.  GCC only: with Clang nothing is trained.
    level : str
        The compiler's optimisation level, without `train`.
    progress : callable or None

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    _check_top(top)
    compiler()
    if "clang" in compiler_identity():
        train = None
    if not waves:  # waves show each cell
        text = roll(text)
    parts: list[str | bytes] = [text, *_VERILATOR_FLAGS, *FLAGS, versions(), compiler_identity()]
    inside = _RECORDER if record else ()
    parts += [path.read_bytes() for path in (*_HARNESS, *inside, _TOPS[top], Path(__file__))]
    parts += [top, str(waves), str(train is not None), level]
    path = cache_dir() / f"accel-{digest(parts)}.so"

    def build(folder: Path) -> Path:
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
        flags += ["-DPENSTOCK_BRANCHES"] if top == "covered" else []
        make = partial(compile_units, folder=folder, flags=flags, waves=waves, progress=progress)
        units = [_HARNESS[0], *units]
        support = runtime(waves=waves, progress=progress)
        if train is None:
            objects = make(units, level=level, what="the core")
        else:
            objects = _compile_trained(make, units, support, train, progress)
        say(progress, "linking")
        return _link(folder / "accel.so", [*objects, *support])

    return cached(path, build)


def _check_top(top: str) -> None:
    if top not in _TOPS:
        raise ValueError(f"top must be one of {', '.join(_TOPS)}, not {top!r}")


def _compile_trained(
    make: Callable[..., list[Path]],
    units: Sequence[Path],
    support: Sequence[Path],
    train: Train,
    progress: Progress | None,
) -> list[Path]:
    """Compile, train, and recompile the code that runs in every cycle; return the object files.

    Parameters
    ----------
    make : callable
        `compile_units` without its options for optimisation.
    support : sequence of Path
        Further object files of the library.
    """
    objects = make(units, level="-O2", hot=["-fprofile-generate"], what="the core for training")
    path = objects[0].parent / "training.so"
    # No code calls the function that writes the profile, so it must be linked explicitly.
    _link(path, [*objects, *support], "-fprofile-generate", "-Wl,-u,__gcov_dump")
    say(progress, "training")
    train(path)
    # Written now, as the folder no longer exists when this process ends.
    ctypes.CDLL(str(path))["__gcov_dump"]()
    hot = [unit for unit in units if not runs_once(unit)]
    missing = [unit.name for unit in hot if not (path.parent / f"{unit.stem}.gcda").is_file()]
    if missing:
        raise ToolError(f"the training run left no profile of {', '.join(missing)}")
    make(hot, level="-O2", hot=["-fprofile-use"], what="the core")
    return objects


def _link(target: Path, objects: Sequence[Path], *options: str) -> Path:
    """Link a library and return its path."""
    interface = f"-Wl,--version-script={_INTERFACE}"
    call([compiler(), "-shared", interface, *options, "-o", target, *objects, "-pthread"])
    return target


def hardware_sources() -> list[Path]:
    """The sources of the hardware: all of ``hw`` but the flow, and the tables it reads."""
    return sorted(path for name in _SOURCES for path in (_ROOT / name).rglob("*.py"))
