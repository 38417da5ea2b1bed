"""The folder of a build: whole or not there.

Work goes on in a hidden folder beside it, which takes the name at the end and is locked meanwhile,
so that two builds do not interfere.  Leftovers of a killed build are removed by the next one.
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
    """A folder to be; a context manager.

    Parameters
    ----------
    path : Path
        What is there is replaced by `keep`, if it was made by a build or is empty.

    Raises
    ------
    BuildError
        If it cannot be made there, or another build is at it.
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
        """Give the work its name; what was there before goes."""
        shutil.rmtree(self._old, ignore_errors=True)
        if self.path.exists():
            os.rename(self.path, self._old)
        os.rename(self.work, self.path)
        shutil.rmtree(self._old, ignore_errors=True)

    def keep_logs(self) -> Path:
        """Keep the logs of a build that failed, beside where it would have been.

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
