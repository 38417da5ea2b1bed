"""Verilog to object files: Verilator, the C++ compiler, and Verilator's runtime, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from penstock.sim.library.toolchain import (
    JOBS,
    cache_dir,
    cached,
    call,
    compiler,
    compiler_identity,
    digest,
    verilator_bin,
    verilator_root,
    versions,
)

__all__ = [
    "FLAGS",
    "SHIMS",
    "Progress",
    "compile_units",
    "runs_once",
    "runtime",
    "say",
    "translate",
]

# Called with what happens now, in a few words.
Progress = Callable[[str], None]

HERE = Path(__file__).resolve().parent

FLAGS = (
    *("-std=c++20", "-fPIC", "-march=native", "-faligned-new", "-w"),
    # Nobody replaces functions of the library: they may call each other directly.
    *("-fno-plt", "-fno-semantic-interposition"),
)
WAVES_FLAGS = ("-DVM_TRACE=1", "-DVM_TRACE_FST=1")

# Stand in for the system's headers of these names; see there.
SHIMS = (HERE / "fst" / "lz4.h", HERE / "fst" / "zlib.h")

_VERILATOR_FLAGS = ("--cc", "--no-assert", "--no-timing", "-Wno-fatal", "-Wno-lint")


def say(progress: Progress | None, text: str) -> None:
    """Report progress if someone listens."""
    if progress is not None:
        progress(text)


def translate(
    text: str,
    folder: Path,
    *,
    top: str,
    prefix: str,
    flags: Sequence[str | Path] = (),
    waves: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Translate Verilog to C++ sources in `folder`; return them, the largest first.

    Parameters
    ----------
    text : str
        The Verilog.
    top, prefix : str
        Top module, and the name of the class made from it.
    flags : sequence of str or Path
        More options and files for Verilator.

    Raises
    ------
    ToolError
        If Verilator is missing or refuses the Verilog.
    """
    say(progress, "translating Verilog to C++")
    (folder / f"{top}.sv").write_text(text)
    options = [*_VERILATOR_FLAGS, *flags, *(["--trace-fst"] if waves else [])]
    options += ["--top-module", top, "--prefix", prefix, "-Mdir", ".", f"{top}.sv"]
    call([verilator_bin(), *options], cwd=folder)
    return sorted(folder.glob(f"{prefix}*.cpp"), key=lambda unit: -unit.stat().st_size)


def runs_once(unit: Path) -> bool:
    """Whether a source of Verilator's runs at the start only, not in every cycle."""
    return "__Slow" in unit.name or "__Syms" in unit.name


def compile_units(
    units: Sequence[Path],
    folder: Path,
    *,
    level: str = "-O3",
    hot: Sequence[str] = (),
    flags: Sequence[str | Path] = (),
    waves: bool = False,
    what: str = "the design",
    progress: Progress | None = None,
) -> list[Path]:
    """Compile C++ sources to object files in `folder`, `JOBS` at a time.

    Parameters
    ----------
    level : str
        Optimisation of what runs in every cycle.
    hot : sequence of str
        More options for that.
    flags : sequence of str
        More options for all.

    Raises
    ------
    ToolError
        If the compiler is missing or fails.
    """
    cxx = compiler()
    include = verilator_root() / "include"
    common = [
        *FLAGS,
        *flags,
        *(WAVES_FLAGS if waves else ()),
        *("-I", folder, "-I", HERE, "-I", HERE / "fst", "-I", include, "-I", include / "vltstd"),
    ]
    done = 0

    def one(unit: Path) -> Path:
        nonlocal done
        target = folder / f"{unit.stem}.o"
        # What runs once is not worth the optimiser's time.
        options = ["-O0"] if runs_once(unit) else [level, *hot]
        call([cxx, *options, *common, "-c", unit, "-o", target])
        done += 1
        say(progress, f"compiling {what}: {done} of {len(units)}")
        return target

    say(progress, f"compiling {what}: 0 of {len(units)}")
    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(one, units))


def runtime(
    *, waves: bool = False, vpi: bool = False, progress: Progress | None = None
) -> list[Path]:
    """Object files of Verilator's runtime, which do not depend on the design; cached.

    Raises
    ------
    ToolError
        If the compiler or Verilator is missing, or fails.
    """
    names = ["verilated", "verilated_threads"]
    names += ["verilated_fst_c"] if waves else []
    names += ["verilated_vpi"] if vpi else []
    shims = [path.read_bytes() for path in SHIMS]
    objects = []
    for name in names:
        # Tracing changes the layout of what the runtime's classes share.
        key = digest([name, str(waves), *FLAGS, *shims, versions(), compiler_identity()])
        source = verilator_root() / "include" / f"{name}.cpp"

        def build(folder: Path, source: Path = source) -> Path:
            (built,) = compile_units(
                [source],
                folder,
                level="-O1",
                waves=waves,
                what="the simulator's runtime",
                progress=progress,
            )
            return built

        objects.append(cached(cache_dir() / f"runtime-{name}-{key}.o", build))
    return objects
