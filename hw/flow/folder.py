"""The output folder of a build, written atomically.

Work is done in a hidden folder beside it, which is locked, and renamed at the end, so that two
builds do not interfere.  Leftovers of a killed build are removed by the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType

from penstock.hw.flow.errors import BuildError

__all__ = ["Folder"]


class Folder:
    """An output folder under construction; a context manager.

    Parameters
    ----------
    path : Path
        An existing folder is replaced by `keep`, if it was made by a build or is empty.

    Raises
    ------
    BuildError
        If it cannot be created, or another build is using it.
    """

    # A folder with this file in it was made by a build.
    MARK = "report.json"

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.work = self.path.parent / f".{self.path.name}.partial"
        self._old = self.path.parent / f".{self.path.name}.old"

    def __enter__(self) -> Folder:
        if self.path.exists() and not self.path.is_dir():
            raise BuildError(f"{self.path}: not a folder")
        if self.path.is_dir() and any(self.path.iterdir()) and not self._ours():
            raise BuildError(
                f"{self.path}: has other files in it; a build replaces the whole folder: "
                "choose another"
            )
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.work, os.O_RDONLY)
        except OSError as error:
            raise BuildError(
                f"{self.path}: cannot be made: {(error.strerror or str(error)).lower()}"
            ) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._handle), os.stat(self.work)):
                raise OSError  # it has just got its name
        except OSError:
            os.close(self._handle)
            raise BuildError(f"{self.path}: another build is writing there") from None
        for entry in self.work.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if self._old.exists() and not self.path.exists():
            os.rename(self._old, self.path)  # the last build was killed while it changed names
        (self.work / "logs").mkdir()
        return self

    def _ours(self) -> bool:
        return (self.path / self.MARK).is_file()

    def keep(self) -> None:
        """Rename the work folder to its final name; the previous folder is removed."""
        shutil.rmtree(self._old, ignore_errors=True)
        if self.path.exists():
            os.rename(self.path, self._old)
        os.rename(self.work, self.path)
        shutil.rmtree(self._old, ignore_errors=True)

    def keep_logs(self) -> Path:
        """Keep the logs of a failed build, beside its output path.

        Returns
        -------
        Path
            Their folder.
        """
        target = self.path.parent / f"{self.path.name}.logs"
        shutil.rmtree(target, ignore_errors=True)
        os.rename(self.work / "logs", target)
        return target

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        os.close(self._handle)
