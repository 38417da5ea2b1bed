"""Images named on the command line: files, and the images in folders."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from penstock.host.cli.support.exit_status import bad_input
from penstock.host.inputs.folder import image_files, unread_files
from penstock.host.inputs.preprocess import check_file

__all__ = ["images_of", "tell_unread"]


def tell_unread(folder: Path) -> None:
    """Report on standard error how many files are images in unsupported formats."""
    files = unread_files(folder)
    if files:
        kinds = ", ".join(sorted({path.suffix for path in files}))
        many = "1 file is" if len(files) == 1 else f"{len(files)} files are"
        print(
            f"penstock: {folder}: {many} left out, {kinds} is not read: convert to .jpg or .png",
            file=sys.stderr,
        )


def images_of(names: Iterable[str]) -> list[str]:
    """Return the given files, with each folder replaced by its images.

    Called before any long work.

    Raises
    ------
    InputError
        If a file is missing, empty, or no regular file, or a folder holds no images.
    """
    found = []
    with bad_input():
        for name in names:
            if Path(name).is_dir():
                found += [str(path) for path in image_files(Path(name))]
                tell_unread(Path(name))
            else:
                check_file(name)
                found.append(name)
    return found
