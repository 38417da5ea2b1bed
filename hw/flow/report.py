"""Reports of a build: ``report.json`` and ``report.md``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.hw.boards.board import Board
from penstock.hw.flow.step_times import STEPS
from penstock.hw.flow.timing import Timing
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = ["Report", "SeedResult", "usage"]

# Signals of a critical path that are shown on the terminal.
_WAYPOINTS = 3


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """Result of one seed.

    Parameters
    ----------
    seed : int
    outcome : str
        ``routed``, ``stopped`` at the time limit, or ``failed``.
    fmax_mhz : float or None
        If routed.
    seconds, megabytes : float
    reason : str
        Why it failed; else empty.
    """

    seed: int
    outcome: str
    fmax_mhz: float | None = None
    seconds: float = 0.0
    megabytes: float = 0.0
    reason: str = ""


def usage(cells: Mapping[str, int], table: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    """Sum the device's resources used by the cells of a netlist.

    Parameters
    ----------
    cells : mapping of str to int
        Number of cells by type.
    table : mapping of str to (str, float)
        Resource of each type, and its amount; other types are not counted.
    """
    result: dict[str, float] = {}
    for kind, number in cells.items():
        if kind in table:
            resource, each = table[kind]
            result[resource] = result.get(resource, 0) + number * each
    return result


def _shortened(path: str) -> str:
    """Return a critical path in words with only the first signals that it passes."""

    def first(found: re.Match[str]) -> str:
        names = found[1].split(", ")
        more = len(names) - _WAYPOINTS
        if more <= 0:
            return found[0]
        return f", by way of {', '.join(names[:_WAYPOINTS])} and {more} more (report.md)"

    return re.sub(r", by way of ([^;]*)", first, path)


@dataclass(kw_only=True)
class Report:
    """The report of a build.

    Parameters
    ----------
    board : Board
    arch : Arch
    state : str
        ``netlist`` (checked, no further), ``timing missed`` or ``done``.
    cells : dict of str to int
        Cells of the netlist, by type.
    used : dict of str to float
        Of `Board.resources`.
    seed : int or None
    timing : Timing or None
    critical_path : str
        The critical path as text; empty if unknown.
    clock_mhz : float or None
        To run at.
    cycles : dict of str to int
        Cycles an image takes, by network.
    notes : list of str
        Sentences about what was checked.
    seeds : list of SeedResult
    costs : dict of str to (float, float)
        Seconds and peak megabytes of each step, by the names of `hw.flow.step_times.STEPS`; the
        check of the netlist runs beside place and route.
    seconds : float
        Of the whole build.
    """

    board: Board
    arch: Arch
    state: str = "netlist"
    cells: dict[str, int] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    timing: Timing | None = None
    critical_path: str = ""
    clock_mhz: float | None = None
    cycles: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seeds: list[SeedResult] = field(default_factory=list)
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def met(self) -> bool:
        """Whether place and route reports at least the board's target."""
        return self.timing is not None and self.timing.fmax_mhz >= self.board.target_mhz

    def frames_per_second(self) -> dict[str, float]:
        """Images a second on the array alone, at the chosen clock: an estimate."""
        if self.clock_mhz is None:
            return {}
        return {name: self.clock_mhz * 1e6 / cycles for name, cycles in self.cycles.items()}

    def summary(self) -> list[str]:
        """Summary of a finished build, or of a checked netlist, for the command line."""
        used = [
            f"{name} {self.used.get(name, 0):g} of {total}"
            for name, total in self.board.resources.items()
        ]
        lines = [
            f"{self.board.title}, arch {self.arch.name}, {self.arch.macs_per_cycle} MACs a cycle"
        ]
        if self.timing is not None:
            lines.append(
                f"reported fmax {self.timing.fmax_mhz:.1f} MHz with seed {self.seed}, "
                f"target {self.board.target_mhz:g} MHz; to be run at {self.clock_mhz:.2f} MHz"
            )
        lines.append(f"cells: {', '.join(used)}")
        if self.critical_path:
            lines.append(f"critical path: {_shortened(self.critical_path)}")
        for name, rate in self.frames_per_second().items():
            lines.append(f"estimate, not measured: {rate:.1f} images/s of {name} on the array")
        return [*lines, *self.notes]

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "board": self.board.name,
            "part": self.board.part,
            "arch": self.arch.name,
            "fingerprint": f"{self.arch.fingerprint:016x}",
            "macs_per_cycle": self.arch.macs_per_cycle,
            "state": self.state,
            "target_mhz": self.board.target_mhz,
            "fmax_mhz": self.timing.fmax_mhz if self.timing else None,
            "timing_met": self.met,
            "clock_mhz": self.clock_mhz,
            "seed": self.seed,
            "critical_path": self.critical_path or None,
            "resources": {
                name: {"used": self.used.get(name, 0), "total": total}
                for name, total in self.board.resources.items()
            },
            "cells": self.cells,
            "estimated_frames_per_second": {
                name: round(value, 2) for name, value in self.frames_per_second().items()
            },
            "predicted_cycles": self.cycles,
            "checks": self.notes,
            "seeds": [vars(seed) for seed in self.seeds],
            "costs": {
                name: {"seconds": round(seconds, 1), "megabytes": round(megabytes)}
                for name, (seconds, megabytes) in self.costs.items()
            },
            "seconds": round(self.seconds, 1),
        }

    def as_markdown(self) -> str:
        """The report as Markdown."""
        lines = [
            f"# {self.board.title}: {self.arch.rows}x{self.arch.cols}, "
            f"{self.arch.macs_per_cycle} MACs a cycle",
            "",
            f"Arch {self.arch.name}, fingerprint {self.arch.fingerprint:016x}.",
            f"State: {self.state}.",
            "",
            *self._timing(),
            "",
            "| resource | used | of | |",
            "|---|---:|---:|---:|",
        ]
        for name, total in self.board.resources.items():
            used = self.used.get(name, 0)
            lines.append(f"| {name} | {used:g} | {total} | {percent(used / total, 0)} |")
        lines += ["", *self._speed()]
        lines += [f"- {note}" for note in self.notes]
        if self.seeds:
            lines += ["", "| seed | result | MHz | seconds | MB |", "|---:|---|---:|---:|---:|"]
            for seed in self.seeds:
                fmax = "" if seed.fmax_mhz is None else f"{seed.fmax_mhz:.1f}"
                outcome = f"{seed.outcome}: {seed.reason}" if seed.reason else seed.outcome
                kept = " (kept)" if seed.seed == self.seed else ""
                lines.append(
                    f"| {seed.seed} | {outcome}{kept} | {fmax} "
                    f"| {seed.seconds:.0f} | {seed.megabytes:.0f} |"
                )
        if self.costs:
            lines += ["", "| step | seconds | MB |", "|---|---:|---:|"]
            lines += [
                f"| {STEPS[name]} | {seconds:.0f} | {f'{megabytes:.0f}' if megabytes else ''} |"
                for name, (seconds, megabytes) in self.costs.items()
            ]
            lines += [f"| the whole build | {self.seconds:.0f} | |"]
        return "\n".join(lines) + "\n"

    def _timing(self) -> list[str]:
        target = self.board.target_mhz
        if self.timing is None:
            return [f"Not placed and routed (target {target:g} MHz)."]
        verdict = "met" if self.met else "MISSED"
        lines = [f"Reported fmax {self.timing.fmax_mhz:.1f} MHz, target {target:g} MHz: {verdict}."]
        if self.clock_mhz is not None:
            lines.append(f"Clock to run at: {self.clock_mhz:.2f} MHz.")
        if self.critical_path:
            lines += ["", f"Critical path: {self.critical_path}."]
        return lines

    def _speed(self) -> list[str]:
        lines = []
        for name, rate in self.frames_per_second().items():
            lines.append(
                f"- Estimate, not measured on a board: {rate:.1f} images a second of {name} "
                f"on the array ({grouped(self.cycles[name])} predicted cycles "
                f"at {self.clock_mhz:.2f} MHz)."
            )
        return lines
