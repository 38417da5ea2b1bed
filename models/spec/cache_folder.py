"""The folder of what is kept from one command to the next, and the names of the files in it."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cache_dir", "digest", "intact", "seal", "spare_folder"]


def cache_dir() -> Path:
    """Folder of everything that is kept; it may be deleted at any time.

    ``PENSTOCK_CACHE``, or ``penstock`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    explicit = os.environ.get("PENSTOCK_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    text = os.path.expanduser(explicit or os.path.join(base or "~/.cache", "penstock"))
    if text.startswith("~"):
        # A container may run as a user that has neither HOME nor an entry in the list of users.
        return spare_folder(f"{text}: no home folder is known")
    return Path(text).absolute()


@functools.cache
def spare_folder(reason: str) -> Path:
    """Folder in place of a cache that cannot be used: new, deleted when this process ends.

    Says so on standard error, with the reason, the first time.
    """
    folder = Path(tempfile.mkdtemp(prefix="penstock-cache-"))
    print(
        f"penstock: {reason}: nothing is kept after this command (set PENSTOCK_CACHE to a folder)",
        file=sys.stderr,
    )
    owner = os.getpid()

    def delete() -> None:
        if os.getpid() == owner:  # not in a process that was forked
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(delete)
    return folder


def digest(parts: Iterable[str | bytes]) -> str:
    """Hash of several contents, as part of a file's name."""
    result = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        result.update(len(data).to_bytes(8, "little"))
        result.update(data)
    return result.hexdigest()[:24]


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _checksum(path: Path, name: str) -> str:
    """Hash of a file, or of the files of a folder, and of the name it has in the cache."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    result = hashlib.sha256(name.encode())
    for file in files:
        data = file.read_bytes()
        head = "" if file == path else str(file.relative_to(path))
        result.update(f"\0{head}\0{len(data)}\0".encode())
        result.update(data)
    return result.hexdigest()


def _synced(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def intact(path: Path) -> bool:
    """Whether an entry of the cache is there as `seal` left it."""
    try:
        return _checksum_file(path).read_text() == _checksum(path, path.name)
    except (OSError, ValueError):
        return False


def seal(made: Path, path: Path) -> None:
    """Move a finished file or folder of the same file system to `path`, with its checksum beside.

    What is at `path` after a power cut is whole, or is not `intact`.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    for file in [made, *made.rglob("*")]:
        _synced(file)
    checksum = made.with_name(f"{made.name}.sha256")
    checksum.write_text(_checksum(made, path.name))
    _synced(checksum)
    os.replace(made, path)
    os.replace(checksum, _checksum_file(path))
    _synced(path.parent)
