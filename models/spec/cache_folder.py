"""The folder of what is kept from one command to the next, and the names of the files in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cache_dir", "digest"]


def cache_dir() -> Path:
    """Folder of everything that is kept; it may be deleted at any time.

    ``PENSTOCK_CACHE``, or ``penstock`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    explicit = os.environ.get("PENSTOCK_CACHE")
    if explicit:
        return Path(explicit).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "penstock"


def digest(parts: Iterable[str | bytes]) -> str:
    """Hash of several contents, as part of a file's name."""
    result = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        result.update(len(data).to_bytes(8, "little"))
        result.update(data)
    return result.hexdigest()[:24]
