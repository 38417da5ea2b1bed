"""Entries of the cache that the simulator needs, each made once and checked each time it is used.

Beside each entry, a file or a folder, lies ``NAME.sha256``.  It is written after the entry, so that
what a power cut leaves, or another program has put there, is found and made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.models.spec.cache_folder import intact, seal, spare_folder

__all__ = ["cached"]


def cached(path: Path, make: Callable[[Path], Path]) -> Path:
    """Return `path`, a file or a folder of the cache, made if it is not there; once at a time.

    If the cache cannot be written, a whole entry in it is used; another one is made in a folder
    that lasts as long as this process.

    Parameters
    ----------
    path : Path
    make : callable
        Given an empty folder, makes in it what becomes `path`, and returns where it is.

    Raises
    ------
    OSError
        If the disk is full.
    """
    try:
        with _locked(path):
            return _entry(path, make)
    except _Unwritable as error:
        if intact(path):
            return path
        spare = spare_folder(str(error)) / path.name
        with _locked(spare):
            return _entry(spare, make)


def _entry(path: Path, make: Callable[[Path], Path]) -> Path:
    if intact(path):
        return path
    try:
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=path.parent))
    except OSError as error:
        raise _Unwritable(f"{path.parent}: {error.strerror}") from None
    try:
        if path.exists():
            print(f"penstock: {path} is damaged and is made again", file=sys.stderr)
            path.rename(folder / "damaged")
        work = folder / "work"
        work.mkdir()
        made = make(work)
        try:
            seal(made, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


class _Unwritable(Exception):
    """The cache cannot be written; the message names it and the reason."""


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of an entry; another process that wants it waits."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path.with_name(f"{path.name}.lock"), "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise _Unwritable(f"{path.parent}: {error.strerror}") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
