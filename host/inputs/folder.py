"""A folder of images, read one at a time: what calibration runs on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from penstock.host.inputs.preprocess import Picture, picture_pixels
from penstock.models.graph.graph import InputSpec

__all__ = ["SUFFIXES", "ImageFolder", "image_files", "unread_files"]

# Of files that are taken for images; anything else in a folder is passed over.
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

# Of images in formats that are not read: told, not passed over in silence.
_UNREAD = {".avif", ".cr2", ".dng", ".heic", ".heif", ".jxl", ".nef"}

Pixels = NDArray[np.uint8]


def unread_files(folder: Path) -> list[Path]:
    """Return the files in a folder and below whose names say that they are images of other kinds.

    They are those of `image_files` that a person would miss: ``.heic`` and the like.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _UNREAD)


def image_files(folder: Path, *, limit: int | None = None) -> list[Path]:
    """Return the images in a folder and those below it, in order of name.

    Parameters
    ----------
    folder : Path
    limit : int, optional
        Of more images, this many are taken, spread evenly over all.

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
    """The pixels a network sees of images; a file is read whenever its pixels are asked for.

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
