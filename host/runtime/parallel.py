"""Images on several devices in parallel: simulated ones, which are limited by processor time only.

::

    device 0   image 0 | image 2 | image 4 ...
    device 1   image 1 | image 3 | ...           each with its CPU layers and golden check

Every device has a thread; it releases the GIL while it works.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from penstock.host.runtime.session import Result, Session

__all__ = ["ParallelSession", "cores"]


def cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ParallelSession:
    """Sessions of one program on several devices, used like one session.

    Parameters
    ----------
    sessions : sequence of Session
        Closed by their owner, not here.

    Raises
    ------
    ValueError
        If the list is empty, two share a device, or their programs differ.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        if not sessions:
            raise ValueError("sessions must be at least one")
        if len({id(session.device) for session in sessions}) != len(sessions):
            raise ValueError("sessions must not share a device")
        if any(session.program is not sessions[0].program for session in sessions):
            raise ValueError("sessions must be of one program")
        self.sessions = tuple(sessions)

    def run(self, images: Iterable[NDArray[np.uint8] | None]) -> Generator[Result, None, None]:
        """Run images and yield their results in order, as `Session.run` does.

        Each batch, or group of batches, goes to a free device.  If the generator ends before the
        last result (an error, Ctrl-C, or closed by the caller), all devices stop; they are ready
        for the next images.

        Parameters
        ----------
        images : iterable of uint8 arrays (height, width, channels)
            Input codes; the iterable is consumed in the caller's thread.

        Raises
        ------
        DeviceError
            If a run fails; the results of the images before it come first.
        """
        if len(self.sessions) == 1:
            yield from self.sessions[0].run(images)
            return
        free: SimpleQueue[Session] = SimpleQueue()
        for session in self.sessions:
            free.put(session)

        def work(first: int, batch: list[NDArray[np.uint8]]) -> list[Result]:
            session = free.get()  # never empty: as many threads as sessions
            try:
                found = session.run(batch)
                return [replace(result, index=first + result.index) for result in found]
            finally:
                free.put(session)

        pending: deque[Future[list[Result]]] = deque()
        stream = (image for image in images if image is not None)
        size = self.sessions[0].program.batch * self.sessions[0].group
        count = 0
        pool = ThreadPoolExecutor(len(self.sessions), thread_name_prefix="device")
        try:
            while batch := list(islice(stream, size)):
                pending.append(pool.submit(work, count, batch))
                count += len(batch)
                # As many images are queued as run, so that no device idles.
                if len(pending) == 2 * len(self.sessions):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for session in self.sessions:
                session.device.stop.set()
            pool.shutdown(cancel_futures=True)
            for session in self.sessions:
                session.device.stop.clear()
