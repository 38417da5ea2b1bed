"""Several screens at a time: order, errors, and an end before the end."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest

from penstock.host.apps.parallel_screen import ParallelScreen
from penstock.host.apps.two_stage import PASS, Screen, Verdict
from penstock.host.devices.device import Device, DeviceError


class Waiting:
    """A screen whose first file takes until another screen has done a few."""

    def __init__(self, done: threading.Semaphore) -> None:
        self._done = done

    def run(self, paths: Iterable[Path]) -> Iterator[Verdict]:
        for path in paths:
            if path.name == "0":
                for _ in range(2):
                    assert self._done.acquire(timeout=30)
            if path.name == "bad":
                raise DeviceError("broken")
            self._done.release()
            yield Verdict(path, PASS, 0.0)


class Stopped:
    """What a device has of interest here."""

    def __init__(self) -> None:
        self.stop = threading.Event()


def screens(count: int) -> list[Screen]:
    done = threading.Semaphore(0)
    return [cast(Screen, Waiting(done)) for _ in range(count)]


def test_verdicts_come_in_order() -> None:
    paths = [Path(str(number)) for number in range(20)]
    found = [verdict.path for verdict in ParallelScreen(screens(2)).run(paths)]
    assert found == paths


def test_an_error_comes_after_what_was_before() -> None:
    paths = [Path(name) for name in ("0", "1", "2", "bad", "4")]
    stream = ParallelScreen(screens(2)).run(paths)
    assert [next(stream).path.name for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(DeviceError, match="broken"):
        next(stream)


def test_files_are_not_taken_long_before_they_are_looked_at() -> None:
    taken: list[int] = []

    def paths() -> Iterator[Path]:
        for number in range(100):
            taken.append(number)
            yield Path(str(number))

    devices = [Stopped(), Stopped()]
    stream = ParallelScreen(screens(2), cast("list[Device]", devices)).run(paths())
    next(stream)
    assert len(taken) <= 5
    stream.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5
    # Ready for the next images.
    assert not any(device.stop.is_set() for device in devices)


def test_none_is_refused() -> None:
    with pytest.raises(ValueError, match="screens must be at least one"):
        ParallelScreen([])
