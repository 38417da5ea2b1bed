"""Timing results of place and route, read from nextpnr's log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["CriticalPath", "Step", "Timing", "read_timing"]

_FMAX = re.compile(r"Max frequency for clock\s+'([^']+)': ([\d.]+) MHz")
_PATH = re.compile(r"Critical path report for clock '([^']+)'")
_STEP = re.compile(r"([\d.]+)\s+([\d.]+)\s+(Source|Net) (\S+)")
_SINK = re.compile(r"\sSink (\S+)")
_SUM = re.compile(r"([\d.]+) ns logic, ([\d.]+) ns routing")


def _ours(name: str) -> bool:
    """Whether a name is from our sources: the tools' names begin with a dollar."""
    return not name.startswith("$")


@dataclass(frozen=True)
class Step:
    """A cell of a path, and the net it drives.

    Parameters
    ----------
    source : str
        Pin, as ``cell.pin``.
    net : str
    delay_ns : float
        Of the net.
    """

    source: str
    net: str
    delay_ns: float


@dataclass(frozen=True)
class CriticalPath:
    """A critical path.

    Parameters
    ----------
    steps : tuple of Step
    end : str
        Pin, as ``cell.pin``.
    logic_ns, routing_ns : float
    """

    steps: tuple[Step, ...]
    end: str
    logic_ns: float
    routing_ns: float

    def words(self, signals: Mapping[str, str]) -> str:
        """Describe it.

        Parameters
        ----------
        signals : mapping of str to str
            Name of the signal that a cell drives, for cells with generated names.
        """
        first = self.steps[0]
        begin = first.net if _ours(first.net) else _place(first.source, signals)
        cells = len(self.steps) - 1
        through = {0: "directly", 1: "through one cell"}.get(cells, f"through {cells} cells")
        waypoints = dict.fromkeys(step.net.split("$")[0] for step in self.steps if _ours(step.net))
        by = [name for name in waypoints if name != begin]
        longest = max(self.steps, key=lambda step: step.delay_ns)
        share = f"the longest of them {longest.delay_ns:.1f} ns"
        if _ours(longest.net):
            share += f" ({longest.net})"
        return (
            f"{self.logic_ns + self.routing_ns:.1f} ns from {begin} {through} "
            f"to {_place(self.end, signals)}"
            + (f", by way of {', '.join(by)}" if by else "")
            + f"; {self.logic_ns:.1f} ns in cells, {self.routing_ns:.1f} ns in wires, {share}"
        )


def _place(pin: str, signals: Mapping[str, str]) -> str:
    cell, _, name = pin.rpartition(".")
    if _ours(cell):
        return pin
    if cell in signals:
        return f"the {name} pin of {signals[cell]}"
    return pin


@dataclass(frozen=True)
class Timing:
    """Timing of a clock.

    Parameters
    ----------
    clock : str
        The slowest clock.
    fmax_mhz : float
    path : CriticalPath or None
        Its critical path; None if it is not in the log.
    """

    clock: str
    fmax_mhz: float
    path: CriticalPath | None = None


@dataclass
class _Reading:
    """A path report, line by line."""

    steps: list[Step] = field(default_factory=list)
    source: str = ""
    end: str = ""
    path: CriticalPath | None = None

    def add(self, line: str) -> None:
        if match := _STEP.search(line):
            if match[3] == "Source":
                self.source = match[4]
            else:
                self.steps.append(Step(self.source, match[4], float(match[1])))
        elif match := _SINK.search(line):
            self.end = match[1]
        elif (match := _SUM.search(line)) and self.steps:
            self.path = CriticalPath(tuple(self.steps), self.end, float(match[1]), float(match[2]))


def read_timing(log: str) -> Timing | None:
    """Read the last timing report of a log: the one after routing.

    Returns
    -------
    Timing or None
        None if there is no report in it.
    """
    found: dict[str, float] = {}
    readings: dict[str, _Reading] = {}
    current: _Reading | None = None
    for line in log.splitlines():
        if match := _PATH.search(line):
            current = readings[match[1]] = _Reading()
        elif "Critical path report" in line:
            current = None  # between two clocks
        elif match := _FMAX.search(line):
            found[match[1]] = float(match[2])
        elif current is not None:
            current.add(line)
    if not found:
        return None
    clock = min(found, key=lambda name: (found[name], name))
    return Timing(clock, found[clock], readings[clock].path if clock in readings else None)
