"""Pictures on disk, which training reuses.

A pool is a folder of numbered chunks.  Making a picture takes as long as several training steps on
it, so training reuses pictures with different augmentation.  It may start while they are being
made.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.screening.dataset import picture
from scripts.screening.scene import SIZE

__all__ = ["CHUNK", "COUNTS", "Chunk", "chunks", "extend", "main"]

# Pictures of a chunk.
CHUNK = 128

# Chunks that training and evaluation of the shipped model used.
COUNTS = {"train": 400, "validation": 8, "test": 9}

_ENTRY = np.dtype(
    [
        ("pixels", np.uint8, (SIZE, SIZE, 3)),
        ("box", np.int16, (4,)),
        ("label", np.uint8),
        ("kind", "S16"),
    ]
)

# Entries as `_ENTRY` lays them out, (CHUNK,).
Chunk = NDArray[np.void]


def _file(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.npy"


def _make(split: str, number: int) -> Chunk:
    made = np.zeros(CHUNK, _ENTRY)
    for i in range(CHUNK):
        scene = picture(split, number * CHUNK + i)
        made[i] = scene.pixels, scene.box, scene.label, scene.kind.encode()
    return made


def _keep(folder: Path, split: str, number: int) -> None:
    """Make a chunk if it is missing."""
    path = _file(folder, split, number)
    if not path.exists():
        # Each chunk has its own temporary file, as other processes write to the same folder.
        fresh = path.with_suffix(f".{zlib.crc32(str(path).encode()):08x}")
        with fresh.open("wb") as file:
            np.save(file, _make(split, number))
        fresh.replace(path)


def extend(
    folder: Path,
    split: str,
    count: int,
    *,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Make what is missing of the first `count` chunks of a split.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    split : str
    count : int
    jobs : int
        Processes.
    progress : callable, optional
        Called with the number of chunks that are there, after each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if jobs == 1:
        for number in range(count):
            _keep(folder, split, number)
            if progress:
                progress(number + 1)
        return
    with ProcessPoolExecutor(jobs) as processes:
        waiting = [processes.submit(_keep, folder, split, number) for number in range(count)]
        for number, made in enumerate(waiting):
            made.result()
            if progress:
                progress(number + 1)


def chunks(folder: Path, split: str) -> Iterator[Chunk]:
    """Yield the new chunks of a split, up to the first that is missing."""
    number = 0
    while (path := _file(folder, split, number)).exists():
        yield np.load(path, mmap_mode="r")
        number += 1


def main() -> int:
    """Make the pictures of all splits; return the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=tuple(COUNTS), action="append", help="this one only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    for split in options.split or COUNTS:
        count = COUNTS[split]

        def say(done: int, split: str = split, count: int = count) -> None:
            print(f"{split}: {done} of {count} chunks", flush=True)

        extend(options.folder, split, count, jobs=options.jobs, progress=say)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
