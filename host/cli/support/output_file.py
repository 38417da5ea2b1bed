"""Output files of commands: written atomically, and checked before the work."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from penstock.host.cli.support.exit_status import InputError, WorkError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OutputFile", "report_only"]


_DASH, _STDOUT = Path("-"), Path("/dev/stdout")


def report_only(path: Path) -> AbstractContextManager[object]:
    """Keep standard output for a report if it is to go there: other text goes to standard error."""
    if path in (_DASH, _STDOUT):
        return redirect_stdout(sys.stderr)
    return nullcontext()


class OutputFile:
    """A file that is written at the end of the work; a context manager.

    Opening it creates a temporary file beside the target, so an unwritable target is found at once;
    `commit` renames it.  Leaving the block without `commit` removes it and leaves the target
    untouched.

    Parameters
    ----------
    path : Path
        ``-`` is standard output: it holds nothing else then, what is printed in the block goes to
        standard error.

    Raises
    ------
    InputError
        If the target is a directory or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._clear = report_only(path)
        path = _STDOUT if path == _DASH else path
        self.path = path
        self._temporary: str | None = None
        if path.is_dir():
            raise InputError(f"{path}: cannot write: is a directory")
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(f"{path}: cannot write: permission denied")
        if path == _STDOUT or (path.exists() and not path.is_file()):
            return  # devices and pipes such as /dev/stdout are written as they are
        try:
            # A link is followed: its target is replaced, not the link.
            self._target = Path(os.path.realpath(path))
            handle, self._temporary = tempfile.mkstemp(
                prefix=f".{path.name}.", dir=self._target.parent
            )
            os.close(handle)
        except OSError as error:
            raise InputError(
                f"{path}: cannot write: {(error.strerror or str(error)).lower()}"
            ) from None

    @property
    def temporary(self) -> Path:
        """Path for a tool that writes the file itself; call `keep` afterwards."""
        return self.path if self._temporary is None else Path(self._temporary)

    def keep(self) -> None:
        """Rename the file at `temporary` to the target.

        Raises
        ------
        WorkError
            If that fails.
        """
        if self._temporary is None:
            return
        try:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(self._temporary, 0o666 & ~mask)  # mkstemp creates files for the owner only
            os.replace(self._temporary, self._target)
            self._temporary = None
        except OSError as error:
            raise self._failure(error) from None

    def commit(self, content: bytes | Callable[[Path], None]) -> None:
        """Write the target: bytes, or whatever a function writes to the path it is given.

        Raises
        ------
        WorkError
            If that fails now, for example because the disk is full.
        """
        try:
            if callable(content):
                content(self.temporary)
            elif self.path == _STDOUT:
                # Not opened anew: that would cut off what `>>` is to be added to.
                with os.fdopen(os.dup(1), "wb") as file:
                    file.write(content)
            else:
                self.temporary.write_bytes(content)
        except OSError as error:
            raise self._failure(error) from None
        self.keep()

    def _failure(self, error: OSError) -> WorkError:
        return WorkError(f"{self.path}: cannot write: {(error.strerror or str(error)).lower()}")

    def __enter__(self) -> Self:
        self._clear.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear.__exit__(kind, error, trace)
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None
