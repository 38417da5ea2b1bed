"""What place and route says of timing, read from nextpnr's log."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Path", "Timing", "read_timing"]

_FMAX = re.compile(r"Max frequency for clock\s+'([^']+)': ([\d.]+) MHz")
_PATH = re.compile(r"Critical path report for clock '([^']+)'")
_STEP = re.compile(
    r"(?:Info:)?\s*(?:curr|[\w-]+)?\s*([\d.]+)\s+([\d.]+)\s+(Source|Net|Setup) (\S+)"
)
_SUM = re.compile(r"([\d.]+) ns logic, ([\d.]+) ns routing")


@dataclass(frozen=True)
class Path:
    """A critical path.

    Parameters
    ----------
    begin, end : str
        Pins, as ``cell.pin``.
    cells : int
        Cells it goes through between the two.
    logic_ns, routing_ns : float
    longest : (str, float)
        The net that takes longest, and its nanoseconds.
    """

    begin: str
    end: str
    cells: int
    logic_ns: float
    routing_ns: float
    longest: tuple[str, float]

    def __str__(self) -> str:
        total = self.logic_ns + self.routing_ns
        through = {0: "directly", 1: "through one cell"}.get(
            self.cells, f"through {self.cells} cells"
        )
        net, delay = self.longest
        return (
            f"{total:.1f} ns from {self.begin} {through} to {self.end}: "
            f"{self.logic_ns:.1f} ns in cells, {self.routing_ns:.1f} ns in wires, "
            f"of which {delay:.1f} ns in {net}"
        )


@dataclass(frozen=True)
class Timing:
    """What a clock can do.

    Parameters
    ----------
    clock : str
        The slowest clock.
    fmax_mhz : float
    path : Path or None
        Its critical path; None if the log does not tell.
    """

    clock: str
    fmax_mhz: float
    path: Path | None


def read_timing(log: str) -> Timing | None:
    """Read the last timing report of a log: the one after routing.

    Returns
    -------
    Timing or None
        None if there is no report in it.
    """
    found: dict[str, float] = {}
    paths: dict[str, list[str]] = {}
    lines = log.splitlines()
    current: list[str] | None = None
    for line in lines:
        if match := _PATH.search(line):
            current = paths[match[1]] = []
        elif match := _FMAX.search(line):
            found[match[1]] = float(match[2])
            current = None
        elif current is not None:
            current.append(line)
    if not found:
        return None
    clock = min(found, key=lambda name: (found[name], name))
    return Timing(clock, found[clock], _path(paths.get(clock, [])))


def _path(lines: list[str]) -> Path | None:
    pins: list[str] = []
    end = ""
    nets: list[tuple[str, float]] = []
    for line in lines:
        if match := _STEP.search(line):
            delay, kind, name = float(match[1]), match[3], match[4]
            if kind == "Source":
                pins.append(name)
            elif kind == "Net":
                nets.append((name, delay))
        elif "Sink " in line:
            end = line.split("Sink ")[1].split()[0]
        elif (match := _SUM.search(line)) and pins and nets:
            longest = max(nets, key=lambda net: net[1])
            return Path(pins[0], end, len(pins) - 1, float(match[1]), float(match[2]), longest)
    return None
