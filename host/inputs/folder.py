"""A folder of images, read one at a time, for calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from penstock.host.inputs.preprocess import Picture, picture_pixels
from penstock.models.graph.graph import InputSpec

__all__ = ["SUFFIXES", "ImageFolder", "image_files", "unread_files"]

# Suffixes of image files; other files in a folder are ignored.
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

# Suffixes of images in unsupported formats, which are reported.
_UNREAD = {".avif", ".cr2", ".dng", ".heic", ".heif", ".jxl", ".nef"}

Pixels = NDArray[np.uint8]


def unread_files(folder: Path) -> list[Path]:
    """Return the files in a folder and below that are images in unsupported formats.

    A user would expect them among `image_files`: ``.heic`` and the like.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _UNREAD)


def image_files(folder: Path, *, limit: int | None = None) -> list[Path]:
    """Return the images in a folder and those below it, in order of name.

    Parameters
    ----------
    folder : Path
    limit : int, optional
        Most images; of more, this many are taken, spread evenly.

    Raises
    ------
    ValueError
        If it is no folder, or holds no images.
    """
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "no such folder"
        raise ValueError(f"{folder}: {reason}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))})")
    if limit is not None and len(files) > limit:
        files = [files[index * len(files) // limit] for index in range(limit)]
    return files


class ImageFolder(Sequence[Pixels]):
    """The input pixels of image files; a file is read at each access.

    Parameters
    ----------
    files : sequence of paths, or of arrays as `host.inputs.preprocess.frame_pixels` takes
    spec : InputSpec

    Raises
    ------
    ValueError
        From item access: if a file is not an image.
    """

    def __init__(self, files: Sequence[Picture], spec: InputSpec) -> None:
        self._files = files
        self._spec = spec

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...

    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        if isinstance(index, slice):
            return [picture_pixels(file, self._spec) for file in self._files[index]]
        return picture_pixels(self._files[index], self._spec)
