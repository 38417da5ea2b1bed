"""What a simulated core's engines did in a run: events and counts of ``sim/library/recorder.h``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["EVENT", "SAMPLE", "Kind", "Recording"]


class Kind(IntEnum):
    """What happened to an engine's next descriptor.

    ``BEGUN`` (the fetcher's only): its first beat came.  ``HANDED_OUT``: the fetcher gave it to the
    engine's queue.  ``TAKEN``: its waits are met and the engine took it.  ``DONE``: it is complete.
    """

    BEGUN = 0
    HANDED_OUT = 1
    TAKEN = 2
    DONE = 3


# Cycles are counted from the start bit, as in the layer log.
EVENT = np.dtype([("cycle", "u4"), ("engine", "u4"), ("kind", "u4")])

# Counts of the first `cycles` cycles; beats by port.
SAMPLE = np.dtype(
    [
        *((name, "u4") for name in ("cycles", "busy")),
        *((f"stall_{name}", "u4") for name in ("input", "weights", "output")),
        *((f"beats_{port}", "u4") for port in ERROR_SOURCES),
    ]
)


@dataclass(frozen=True)
class Recording:
    """One run.

    Parameters
    ----------
    events : structured array of EVENT
        In the order of their cycles.  `engine` is an `models.spec.isa.Op`, or 0 for the fetcher.
    samples : structured array of SAMPLE
        At the start, at each CONV's and POST's completion, and every 1024 cycles.
    """

    events: NDArray[np.void]
    samples: NDArray[np.void]

    def cycles(self, engine: int, kind: Kind) -> list[int]:
        """Return when it happened to each of an engine's descriptors, in order."""
        chosen = (self.events["engine"] == engine) & (self.events["kind"] == kind)
        return [int(cycle) for cycle in self.events["cycle"][chosen]]
