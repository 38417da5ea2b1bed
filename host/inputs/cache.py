"""Cache on disk for results that take long.

Files are in ``PENSTOCK_CACHE``, or ``penstock`` in ``XDG_CACHE_HOME`` or ``~/.cache``, named by a
hash of everything they were made from.  An unreadable file is made again; a failed write is
ignored.  The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

__all__ = ["cache_dir", "cached", "content_key", "source_key"]

_Value = TypeVar("_Value")

# A quantised AlexNet takes 60 MB.
_KEPT = 4


def cache_dir() -> Path:
    """Folder of the cache."""
    explicit = os.environ.get("PENSTOCK_CACHE")
    if explicit:
        return Path(explicit).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "penstock"


def content_key(parts: Iterable[bytes]) -> str:
    """Hash of several contents, as part of a file name."""
    result = hashlib.sha256()
    for part in parts:
        result.update(len(part).to_bytes(8, "little"))
        result.update(part)
    return result.hexdigest()[:24]


@functools.cache
def source_key() -> str:
    """Hash of the modules that make networks, and of NumPy's version."""
    root = Path(__file__).resolve().parents[2]
    sources = [*sorted((root / "models").rglob("*.py")), root / "host/inputs/preprocess.py"]
    return content_key([np.__version__.encode(), *(path.read_bytes() for path in sources)])


def _prune(folder: Path, kind: str) -> None:
    """Delete the least recently used files of one kind."""
    files = sorted(folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_KEPT:]:
        path.unlink()


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
        Writes a file atomically.
    make
        Called if there is no file that can be read.
    """
    folder = cache_dir()
    path = folder / f"{kind}-{key}"
    try:
        value = load(path)
        os.utime(path)
        return value
    except (OSError, ValueError):
        value = make()
    with contextlib.suppress(OSError):  # a full or read-only disk costs only time
        folder.mkdir(parents=True, exist_ok=True)
        save(value, path)
        _prune(folder, kind)
    return value
