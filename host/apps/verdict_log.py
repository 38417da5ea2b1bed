"""The file of verdicts: JSON lines, one for each image, written as they come.

The first line says which model made them.  A stopped run is resumed from its file: images in it are
not run again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from penstock.host.apps.two_stage import UNREADABLE, Model, Verdict

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ScreenLog"]


class ScreenLog:
    """A file of verdicts, open for appending; a context manager.

    Parameters
    ----------
    path : Path
        An existing file is continued.
    model : Model

    Attributes
    ----------
    done : dict
        The verdict on each image that is in the file already, by the path as given then.
        Unreadable files are left out, so they are tried again, without a second line for the same
        error.

    Raises
    ------
    ValueError
        If it is not a file of verdicts, or belongs to another model.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Path, model: Model) -> None:
        self.path = path
        self.done: dict[str, str] = {}
        self._unreadable: set[str] = set()
        head = {
            "model": model.key,
            "coarse_threshold": model.coarse.threshold,
            "fine_threshold": model.fine.threshold,
        }
        size = self._read(head) if path.is_file() else 0
        self._file = path.open("ab")
        if path.is_file():
            # A killed run may leave an incomplete line.
            self._file.truncate(size)
        if not size:
            self._write(json.dumps(head))

    def _read(self, head: dict[str, Any]) -> int:
        """Read the existing entries; return the size of the complete lines."""
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        entries = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entries.append(json.loads(line))
            except ValueError:
                raise ValueError(f"{self.path}: line {number} is not JSON") from None
        if content and not (entries and isinstance(entries[0], dict) and "model" in entries[0]):
            raise ValueError(f"{self.path}: not a file of verdicts, and not overwritten")
        if entries and entries[0] != head:
            raise ValueError(
                f"{self.path}: holds verdicts of another model or other thresholds: {entries[0]}, "
                f"not {head}"
            )
        for entry in entries[1:]:
            if entry.get("verdict") == UNREADABLE:
                self._unreadable.add(json.dumps([entry.get("path"), entry.get("error")]))
            else:
                self.done[str(entry.get("path"))] = str(entry.get("verdict"))
        return len(whole)

    def _write(self, line: str) -> None:
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def add(self, verdict: Verdict) -> None:
        """Write a verdict and flush it."""
        if verdict.verdict == UNREADABLE:
            key = json.dumps([str(verdict.path), verdict.error])
            if key in self._unreadable:
                return
            self._unreadable.add(key)
        self._write(verdict.line())

    def close(self) -> None:
        """Close the file."""
        if not self._file.closed:
            if self.path.is_file():
                os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
