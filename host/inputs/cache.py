"""Cache on disk for results that take long.

Files are in `models.spec.cache_folder`'s folder, named by a hash of everything they were made from.
A damaged file is made again, with a line on standard error; a failed write is ignored.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from penstock.models.spec.cache_folder import cache_dir, digest, intact, seal

__all__ = ["cached", "source_key"]

_Value = TypeVar("_Value")

# A quantised AlexNet takes 60 MB.
_KEPT = 4


@functools.cache
def source_key() -> str:
    """Hash of the modules that make networks, and of NumPy's version."""
    root = Path(__file__).resolve().parents[2]
    sources = [*sorted((root / "models").rglob("*.py")), root / "host/inputs/preprocess.py"]
    return digest([np.__version__, *(path.read_bytes() for path in sources)])


def _prune(folder: Path, kind: str) -> None:
    """Delete the least recently used files of one kind."""
    names = (path for path in folder.glob(f"{kind}-*") if path.suffix != ".sha256")
    files = sorted(names, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_KEPT:]:
        path.unlink()
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)


def cached(
    kind: str,
    key: str,
    *,
    load: Callable[[Path], _Value],
    save: Callable[[_Value, Path], None],
    make: Callable[[], _Value],
) -> _Value:
    """Return the cached value of `kind` and `key`, or make and cache it.

    Parameters
    ----------
    load
        Reads a file; must raise ValueError or OSError if it is incomplete.
    save
        Writes a file.
    make
        Called if there is no file that can be read.
    """
    folder = cache_dir()
    path = folder / f"{kind}-{key}"
    if path.exists():
        with contextlib.suppress(OSError, ValueError):
            if intact(path):
                value = load(path)
                with contextlib.suppress(OSError):  # of a read-only disk
                    os.utime(path)
                return value
        print(f"penstock: {path} is damaged and is made again", file=sys.stderr)
    value = make()
    with contextlib.suppress(OSError):  # a full or read-only disk costs only time
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as work:
            if path.is_dir():
                path.rename(Path(work) / "damaged")
            made = Path(work) / "made"
            save(value, made)
            seal(made, path)
        _prune(folder, kind)
    return value
