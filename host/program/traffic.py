"""Traffic of a program: beats on each memory port, and written ranges; runs must match it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.host.program.tensor_layout import BEAT
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op
from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["Traffic", "traffic_of"]


@dataclass(frozen=True)
class Traffic:
    """Expected counts of one run.

    Parameters
    ----------
    beats : dict
        Beats of each port of `models.spec.regs.ERROR_SOURCES`.
    written : tuple of (int, int)
        Ranges of the arena that are written, first byte and end, in order and apart from each
        other.
    marks : int
        Entries of the layer log.
    """

    beats: dict[str, int]
    written: tuple[tuple[int, int], ...]
    marks: int


def traffic_of(descriptors: Iterable[tuple[Op, dict[str, int]]]) -> Traffic:
    """Return the traffic of a program's descriptors."""
    beats = dict.fromkeys(ERROR_SOURCES, 0)
    ranges = []
    marks = 0
    for op, values in descriptors:
        beats["desc"] += DESCRIPTOR_BYTES // BEAT
        if op is Op.WEIGHTS:
            beats["wgt"] += values["beats"]
        elif op is Op.LOAD:
            beats["act"] += values["planes"] * values["plane_beats"]
        elif op is Op.POST:
            beats["out"] += values["beats"]
            marks += values["mark"]
            ranges.append((values["mem"], values["mem"] + values["beats"] * BEAT))
    return Traffic(beats, _merged(ranges), marks)


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return tuple(merged)
