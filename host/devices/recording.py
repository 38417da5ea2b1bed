"""Recordings of a simulated core's engines: the records of ``sim/library/recorder.h``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["EVENT", "SAMPLE", "Kind", "Recording"]


class Kind(IntEnum):
    """An event of an engine's next descriptor.

    ``BEGUN`` (of the fetcher only): its first beat arrived.  ``HANDED_OUT``: the fetcher dispatched
    it to the engine's queue.  ``TAKEN``: its waits are met and the engine took it.  ``DONE``: it is
    complete.
    """

    BEGUN = 0
    HANDED_OUT = 1
    TAKEN = 2
    DONE = 3


# Cycles are counted from the start bit, as in the layer log.
EVENT = np.dtype([("cycle", "u4"), ("engine", "u4"), ("kind", "u4")])

# Counters after `cycles` cycles; beats by port.
SAMPLE = np.dtype(
    [
        *((name, "u4") for name in ("cycles", "busy")),
        *((f"stall_{name}", "u4") for name in ("input", "weights", "output")),
        *((f"beats_{port}", "u4") for port in ERROR_SOURCES),
    ]
)


@dataclass(frozen=True)
class Recording:
    """The recording of one run.

    Parameters
    ----------
    events : structured array of EVENT
        In order of cycles.  `engine` is a `models.spec.isa.Op`, or 0 for the fetcher.
    samples : structured array of SAMPLE
        Taken at the start, at each completion of CONV and POST, and every 1024 cycles.
    """

    events: NDArray[np.void]
    samples: NDArray[np.void]

    def cycles(self, engine: int, kind: Kind) -> list[int]:
        """Return the cycles of an event for each of an engine's descriptors, in order."""
        chosen = (self.events["engine"] == engine) & (self.events["kind"] == kind)
        return [int(cycle) for cycle in self.events["cycle"][chosen]]
