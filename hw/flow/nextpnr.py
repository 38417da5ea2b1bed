"""Runs nextpnr, of any family, with one seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.programs import yosys_tool
from penstock.hw.flow.synthesis import write_verilog
from penstock.hw.flow.timing import read_timing
from penstock.hw.flow.toolchain import Job, Routed, Tool, Toolchain

__all__ = ["OpenToolchain", "route"]

_PROGRESS = re.compile(
    r"Running (?P<what>.*?)[.,]"
    r"|at iteration #(?P<placement>\d+), type ALL"
    r"|iter=(?P<round>\d+) .*overused=(?P<overused>\d+)"
    r"|Routing (?P<arcs>\d+) arcs"
)


class OpenToolchain(Toolchain):
    """A tool chain of Yosys and nextpnr, whose companion is the design as Verilog."""

    def synthesis_tools(self) -> list[Tool]:
        return [yosys_tool()]

    def companions(self, job: Job) -> None:
        write_verilog(job)


def route(
    job: Job,
    program: str | Path,
    arguments: Sequence[str],
    *,
    seed: int,
    deadline: float,
    files: Mapping[str, Path],
) -> Routed:
    """Place and route `Job.netlist` with a seed.

    Parameters
    ----------
    job : Job
    program : str or Path
    arguments : sequence of str
        Arguments besides the netlist, the frequency and the seed.
    seed : int
    deadline : float
        ``time.monotonic()`` at which it is stopped.
    files : mapping of str to Path
        What it writes.

    Raises
    ------
    StoppedError
        At the deadline.
    BuildError
        If it fails, or reports no timing.
    """
    log = job.log(f"seed{seed}")
    cost = job.runner.run(
        [
            program,
            *arguments,
            *("--json", job.netlist.name),
            *("--freq", f"{job.board.target_mhz:g}"),
            *("--seed", str(seed)),
            "--timing-allow-fail",
        ],
        log=log,
        cwd=job.folder,
        deadline=deadline,
        line=lambda text: _progress(job, seed, text),
    )
    timing = read_timing(log.read_text(encoding="utf-8"))
    if timing is None:
        name = Path(program).name
        raise BuildError(f"{name} with seed {seed} reported no timing: see {log.name}")
    return Routed(seed=seed, timing=timing, files=files, cost=cost)


def _progress(job: Job, seed: int, text: str) -> None:
    """Report the current step of place and route, from a line of its output."""
    match = _PROGRESS.search(text)
    if match is None:
        return
    what = match["what"]
    if match["placement"]:
        what = f"placement round {match['placement']}"
    elif match["round"]:
        what = f"routing round {match['round']}, {match['overused']} wires overused"
    elif match["arcs"]:
        what = f"routing {match['arcs']} arcs"
    job.say(f"seed {seed}: {what}")
