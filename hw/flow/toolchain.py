"""Interface of the flow to tool chains, and the list of tool chains.

A tool chain is one file with one subclass of `Toolchain`; `hw.flow.build` calls its steps in the
order of the methods.
"""

from __future__ import annotations

import abc
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from penstock.hw.boards.board import Board
from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.process import Cost, Runner
from penstock.hw.flow.step_times import STEPS, StepTimes
from penstock.hw.flow.timing import Timing
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import duration

__all__ = [
    "Job",
    "Routed",
    "TOOLCHAINS",
    "Tool",
    "Toolchain",
    "cell_names",
    "count_cells",
    "get_toolchain",
    "signal_names",
]

# ``module:class``, so that a tool chain is imported only when it is used.
TOOLCHAINS = {
    "ecp5": "penstock.hw.flow.lattice.nextpnr_ecp5:Ecp5",
    "gowin": "penstock.hw.flow.gowin.nextpnr_gowin:Gowin",
    "openxc7": "penstock.hw.flow.xilinx.openxc7:OpenXc7",
}


@dataclass(frozen=True)
class Tool:
    """One program or file that a tool chain needs.

    Parameters
    ----------
    name : str
    found : str or None
        Its version or place; None if it is missing.
    cure : str
        How to get it.
    """

    name: str
    found: str | None
    cure: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One build.

    Parameters
    ----------
    board : Board
    arch : Arch
    folder : Path
        Working folder, which contains ``logs``.
    runner : Runner
    say : callable
        Called with a description of each step.
    times : StepTimes or None
        What steps are expected to take.
    """

    board: Board
    arch: Arch
    folder: Path
    runner: Runner
    say: Callable[[str], None]
    times: StepTimes | None = None

    def about(self, step: str, *, seeds: int = 1, jobs: int = 1, limit: float = 0) -> None:
        """Say which step begins, and about how long it takes where that is known.

        The parameters are those of `StepTimes.step`.
        """
        text = STEPS[step]
        if step == "place and route":
            text += f" with {seeds} seed{'s' if seeds > 1 else ''}"
        known = None
        if self.times is not None:
            known = self.times.step(step, seeds=seeds, jobs=jobs, limit=limit)
        self.say(text if known is None else f"{text}, about {duration(known)}")

    @property
    def rtlil(self) -> Path:
        """The design as Amaranth wrote it."""
        return self.folder / "penstock.il"

    @property
    def netlist(self) -> Path:
        """The synthesised design, as JSON for place and route."""
        return self.folder / "netlist.json"

    @property
    def netlist_verilog(self) -> Path:
        """The synthesised design as Verilog, for simulation."""
        return self.folder / "netlist.v"

    def log(self, step: str) -> Path:
        """Path of a step's log."""
        return self.folder / "logs" / f"{step}.log"

    def run(self, step: str, program: str | Path, *arguments: str | Path) -> None:
        """Run a program in `folder`, with its output in the log of `step`.

        Raises
        ------
        BuildError
            If it cannot be run or fails.
        """
        self.runner.run([program, *arguments], log=self.log(step), cwd=self.folder)


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A placed and routed design.

    Parameters
    ----------
    seed : int
    timing : Timing
    files : mapping of str to Path
        Files for the tool chain's later steps.
    cost : Cost
    """

    seed: int
    timing: Timing
    files: Mapping[str, Path]
    cost: Cost


class Toolchain(abc.ABC):
    """The steps from RTLIL to a bitstream."""

    # Name of the constraint file.
    CONSTRAINTS: ClassVar[str]
    # The options that a board must give.
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    # Family of the netlist's cells, for its simulation: a key of
    # `sim.netlist.chip_simulation.CELLS`.
    FAMILY: ClassVar[str]
    # Cells of the netlist and the resource of each: ``{"RAMB18E1": ("RAMB36", 0.5)}``.
    CELLS: ClassVar[Mapping[str, tuple[str, float]]]

    def __init__(self, board: Board) -> None:
        missing = [name for name in self.OPTIONS if name not in board.options]
        if missing:
            raise BuildError(
                f"board {board.name}: the tool chain {board.toolchain} wants the options "
                f"{', '.join(self.OPTIONS)}; not given: {', '.join(missing)}"
            )
        self.board = board

    @abc.abstractmethod
    def synthesis_tools(self) -> list[Tool]:
        """Programs needed by `synthesise`."""

    @abc.abstractmethod
    def tools(self) -> list[Tool]:
        """Programs needed by the steps after the checked netlist."""

    @abc.abstractmethod
    def synthesise(self, job: Job) -> Cost:
        """Make `Job.netlist` and `Job.netlist_verilog` from `Job.rtlil`."""

    def companions(self, job: Job) -> None:
        """Write files that do not need place and route, such as scripts for other tools."""
        return None

    @abc.abstractmethod
    def place_and_route(self, job: Job, *, seed: int, deadline: float) -> Routed:
        """Place and route with one seed.

        Raises
        ------
        StoppedError
            At the deadline, a ``time.monotonic()``.
        BuildError
            If it fails.
        """

    def clock(self, fmax_mhz: float) -> float:
        """Clock in MHz for a reported `fmax_mhz`: the board's own clock."""
        return self.board.clock_hz / 1e6

    @abc.abstractmethod
    def pack(self, job: Job, routed: Routed, *, clock_mhz: float) -> list[str]:
        """Make the bitstream and its companion files.

        Returns
        -------
        list of str
            Sentences for the report.
        """

    @abc.abstractmethod
    def verify(self, job: Job, routed: Routed) -> list[str]:
        """Read the finished bitstream back and compare it with the requested settings.

        Returns
        -------
        list of str
            What was compared, for the report.

        Raises
        ------
        CheckError
            If it differs.
        """


def get_toolchain(board: Board) -> Toolchain:
    """Return the tool chain of a board.

    Raises
    ------
    BuildError
        If there is no such tool chain, or the board lacks a required option.
    """
    try:
        module, _, name = TOOLCHAINS[board.toolchain].partition(":")
    except KeyError:
        raise BuildError(
            f"board {board.name}: toolchain must be one of {', '.join(TOOLCHAINS)}, "
            f"not {board.toolchain!r}"
        ) from None
    result: Toolchain = getattr(importlib.import_module(module), name)(board)
    return result


def _top(netlist: Path) -> Any:
    """The top module of a netlist in Yosys' JSON."""
    modules: dict[str, Any] = json.loads(netlist.read_text(encoding="utf-8"))["modules"]
    tops = [m for m in modules.values() if int(m.get("attributes", {}).get("top", "0"), 2)]
    if len(tops) != 1:
        raise BuildError(f"{netlist.name} must have one top module, not {len(tops)}")
    return tops[0]


def cell_names(netlist: Path) -> dict[str, str]:
    """Return the type of each cell of the top module of a flat netlist, by name."""
    return {name: str(cell["type"]) for name, cell in _top(netlist)["cells"].items()}


def count_cells(netlist: Path) -> dict[str, int]:
    """Count the cells of the top module of a flat netlist, by type."""
    counts: dict[str, int] = {}
    for cell in _top(netlist)["cells"].values():
        counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    return dict(sorted(counts.items()))


def signal_names(netlist: Path) -> dict[str, str]:
    """Return the name of a signal of ours that a cell of the top module drives, by cell."""
    top = _top(netlist)
    names: dict[int, str] = {}
    for name, net in top.get("netnames", {}).items():
        if not net.get("hide_name"):
            for index, bit in enumerate(net["bits"]):
                text = name if len(net["bits"]) == 1 else f"{name}[{index}]"
                names.setdefault(bit, text)
    result = {}
    for name, cell in top["cells"].items():
        outputs = [p for p, way in cell.get("port_directions", {}).items() if way == "output"]
        for port in outputs:
            known = [names[bit] for bit in cell["connections"][port] if bit in names]
            if known:
                result[name] = known[0]
                break
    return result
