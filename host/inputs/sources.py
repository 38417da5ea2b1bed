"""Streams of pictures: a folder that files arrive in, or a camera.

`ahead` reads them in a separate thread, so that decoding overlaps with the array's work.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.host.inputs.folder import SUFFIXES

__all__ = ["ahead", "arriving", "frames"]

Item = TypeVar("Item")


def arriving(
    folder: Path,
    *,
    once: bool = False,
    interval: float = 0.2,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Path]:
    """Yield the image files in a folder, by name, and then those that appear in it.

    A file whose size changed since the last check is still being written, and is left to the next
    one.

    Parameters
    ----------
    folder : Path
    once : bool
        Whether to end after the existing files.
    interval : float
        Seconds between two checks.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    seen: set[Path] = set()
    sizes: dict[Path, int] = {}
    while True:
        found = {
            path: path.stat().st_size
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES and path not in seen and path.is_file()
        }
        for path, size in found.items():
            if once or sizes.get(path) == size:
                seen.add(path)
                yield path
        if once:
            return
        sizes = found
        sleep(interval)


def frames(camera: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of a camera, uint8 (height, width, 3), RGB, until it ends.

    Raises
    ------
    ValueError
        If OpenCV is missing, which the boards' images have, or the camera cannot be opened.
    """
    try:
        import cv2
    except ImportError:
        raise ValueError("the package cv2 is missing: pip install opencv-python-headless") from None
    capture: Any = cv2.VideoCapture(camera)
    try:
        if not capture.isOpened():
            raise ValueError(f"camera {camera} cannot be opened: is /dev/video{camera} there?")
        while True:
            good, frame = capture.read()
            if not good:
                return
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        capture.release()


def ahead(
    items: Iterator[Item], *, count: int = 2, idle: float | None = None
) -> Iterator[Item | None]:
    """Yield `items`; a thread reads up to `count` of them ahead.

    Exceptions of the iterator are raised here, after the items before them.

    Parameters
    ----------
    items : iterator
    count : int
    idle : float or None
        Seconds without an item after which one None is yielded; None: wait as long as it takes.
    """
    if count < 1:
        raise ValueError(f"count must be a positive integer, not {count!r}")
    ready: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(count)
    stop = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None, bool]) -> None:
        while not stop.is_set():
            try:
                return ready.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stop.is_set():
                    return
            put((None, None, True))
        except BaseException as error:
            put((None, error, True))

    thread = threading.Thread(target=work, name="pictures", daemon=True)
    thread.start()
    try:
        timeout = idle
        while True:
            try:
                item, error, last = ready.get(timeout=timeout)
            except queue.Empty:
                timeout = None
                yield None
                continue
            timeout = idle
            if error is not None:
                raise error
            if last:
                return
            yield item
    finally:
        stop.set()
