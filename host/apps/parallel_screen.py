"""Screening on several workers at a time: each looks at whole images, with both of its stages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from penstock.host.apps.two_stage import Screen, Verdict
from penstock.host.devices.device import Device

__all__ = ["ParallelScreen"]


class ParallelScreen:
    """Several `Screen`s used like one.

    Parameters
    ----------
    screens : sequence of Screen
        At least one, none of which shares a device with another.
    devices : sequence of Device
        Those they run on: told to stop when the caller does not want the rest.
    """

    def __init__(self, screens: Sequence[Screen], devices: Sequence[Device] = ()) -> None:
        if not screens:
            raise ValueError("screens must be at least one")
        self._screens = tuple(screens)
        self._devices = tuple(devices)

    def run(self, paths: Iterable[Path]) -> Iterator[Verdict]:
        """Yield the verdict on each file, in order, as `Screen.run` does.

        Raises
        ------
        DeviceError
            If a device fails; the verdicts on the files before come first.
        """
        if len(self._screens) == 1:
            yield from self._screens[0].run(paths)
            return
        free: SimpleQueue[Screen] = SimpleQueue()
        for screen in self._screens:
            free.put(screen)

        def work(path: Path) -> Verdict:
            screen = free.get()  # never empty: as many threads as screens
            try:
                return next(screen.run([path]))
            finally:
                free.put(screen)

        files = iter(paths)
        pending: deque[Future[Verdict]] = deque()
        pool = ThreadPoolExecutor(len(self._screens), thread_name_prefix="screen")
        try:
            # As many files wait as are looked at, so that no worker idles.
            for path in islice(files, 2 * len(self._screens)):
                pending.append(pool.submit(work, path))
            while pending:
                yield pending.popleft().result()
                for path in islice(files, 1):
                    pending.append(pool.submit(work, path))
        finally:
            for device in self._devices:
                device.stop.set()
            pool.shutdown(cancel_futures=True)
            for device in self._devices:
                device.stop.clear()
