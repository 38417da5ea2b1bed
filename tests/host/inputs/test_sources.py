"""Streams of pictures: files that arrive, a camera, and reading ahead."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penstock.host.inputs.sources import ahead, arriving, frames


def test_a_folder_once(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.name for path in arriving(tmp_path, once=True)] == ["a.PNG", "b.jpg"]
    with pytest.raises(OSError, match="No such file"):
        list(arriving(tmp_path / "none", once=True))


def test_files_that_arrive(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    looks = iter(
        [
            lambda: None,
            lambda: (tmp_path / "b.jpg").write_bytes(b"half"),
            lambda: (tmp_path / "b.jpg").write_bytes(b"whole file"),
            lambda: None,
        ]
    )
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        next(looks)()

    stream = arriving(tmp_path, sleep=sleep)
    assert next(stream).name == "a.jpg"
    assert len(waits) == 1
    # Not while it grows.
    assert next(stream).name == "b.jpg"
    assert len(waits) == 4


class Capture:
    """A camera with three pictures."""

    released = 0

    def __init__(self, index: int) -> None:
        self.index = index
        self.left = 3

    def isOpened(self) -> bool:
        return self.index == 1

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        frame = np.zeros((4, 5, 3), np.uint8)
        frame[..., 0] = 200  # blue comes first
        return self.left >= 0, frame

    def release(self) -> None:
        Capture.released += 1


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capture, "released", 0)
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=Capture))
    found = list(frames(1))
    assert len(found) == 3
    assert (found[0] == (0, 0, 200)).all()
    assert Capture.released == 1
    stream = frames(1)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert Capture.released == 2
    with pytest.raises(ValueError, match="camera 0 cannot be opened: is /dev/video0 there"):
        next(frames(0))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match="the package cv2 is missing"):
        next(frames(1))


def test_ahead_keeps_order_and_raises_in_turn() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))

    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("no more")

    stream = ahead(broken())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        next(stream)
    with pytest.raises(ValueError, match="count must be a positive integer, not 0"):
        next(ahead(iter(()), count=0))


def test_ahead_reads_while_others_work() -> None:
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    stream = ahead(items())
    assert next(stream) == 1
    # It was not requested yet.
    assert second.wait(30)
    assert list(stream) == [2]


def test_ahead_ends_its_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    stream = ahead(endless())
    assert list(islice(stream, 3)) == [1, 1, 1]
    threads = [thread for thread in threading.enumerate() if thread.name == "pictures"]
    stream.close()  # type: ignore[attr-defined]
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_ahead_tells_of_a_pause_once() -> None:
    more = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        more.wait(10)
        yield 2

    stream = ahead(items(), idle=0.01)
    assert [next(stream), next(stream)] == [1, None]
    threading.Timer(0.1, more.set).start()
    assert list(stream) == [2]
