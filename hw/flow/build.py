"""Builds a board's bitstream: the steps in order, from Amaranth to the output folder.

::

    Amaranth -> penstock.il -> netlist -+-> simulated against the golden model -----------+
                                        '-> place and route, several seeds, fastest kept -+
      -> bitstream -> read back -> report

The same inputs and tools give the same files, except for logs and the times and memory in
``report.*``.  If the time limit ends the search, the best seed so far is kept; a build with
`Report.seed` alone gives the same files again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from amaranth.back import rtlil

from penstock.hw.boards.board import Board
from penstock.hw.flow.errors import BuildError, ToolsMissing
from penstock.hw.flow.folder import Folder
from penstock.hw.flow.process import Runner, StoppedError
from penstock.hw.flow.report import Report, SeedResult, usage
from penstock.hw.flow.step_times import StepTimes
from penstock.hw.flow.toolchain import (
    Job,
    Routed,
    Tool,
    Toolchain,
    count_cells,
    get_toolchain,
    signal_names,
)
from penstock.models.spec.arch import Arch

__all__ = ["NetlistCheck", "build", "missing_tools"]

# Given the netlist (as JSON; as Verilog it lies beside it), the board, the arch and a function for
# progress, simulates it against the golden model; returns a sentence on what was compared, raises
# CheckError.
NetlistCheck = Callable[[Path, Board, Arch, Callable[[str], None]], str]

# Files in the manifest: all except logs and files that differ from run to run.
_VARYING = ("report.json", "report.md", "manifest.json")


def build(
    board: Board,
    arch: Arch,
    out: Path,
    *,
    seeds: Sequence[int],
    minutes: float,
    check: NetlistCheck,
    cycles: Mapping[str, int],
    say: Callable[[str], None],
    jobs: int = 2,
    netlist_only: bool = False,
    times: StepTimes | None = None,
) -> Report:
    """Build a board's bitstream into the folder `out`.

    Parameters
    ----------
    board : Board
    arch : Arch
        In place of the board's own.
    out : Path
        Replaced at the end, as a whole; not touched if a step fails.
    seeds : sequence of int
        Of place and route.
    minutes : float
        For all of place and route.
    check : NetlistCheck
    cycles : mapping of str to int
        Predicted cycles of an image, by network, for the estimate.
    say : callable
        Called with a description of each step.
    jobs : int
        Seeds at a time.
    netlist_only : bool
        Whether it ends after the checked netlist, which needs no place and route.
    times : StepTimes or None
        What steps are expected to take: `say` is told.

    Returns
    -------
    Report
        The caller must check `Report.met`: the folder is also written if timing is missed.

    Raises
    ------
    ToolsMissing
        Raised before any other work.
    BuildError
        If a step fails; its logs are kept beside `out`.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be different numbers, at least one, not {list(seeds)!r}")
    if not minutes > 0:
        raise ValueError(f"minutes must be positive, not {minutes!r}")
    toolchain = get_toolchain(board)
    missing = missing_tools(board, netlist_only=netlist_only)
    if missing:
        raise ToolsMissing(f"missing: {', '.join(tool.name for tool in missing)}")
    runner = Runner()
    start = time.monotonic()
    with Folder(out) as folder:
        job = Job(board=board, arch=arch, folder=folder.work, runner=runner, say=say, times=times)
        report = Report(board=board, arch=arch, cycles=dict(cycles))
        try:
            _netlist(job, toolchain, report)
            job.about("netlist check")
            checking = _Checking(job, report, check)
            if netlist_only:
                checking.wait()
                report.seconds = time.monotonic() - start
                _write(job, toolchain, report)
                folder.keep()
                return report
            try:
                routed = _best_seed(
                    job, toolchain, report, seeds, time.monotonic() + 60 * minutes, jobs
                )
            except BuildError:
                checking.wait()  # raises the check's error, if it stopped place and route
                raise
            checking.wait()
            report.timing, report.seed = routed.timing, routed.seed
            if routed.timing.path is not None:
                report.critical_path = routed.timing.path.words(signal_names(job.netlist))
            report.clock_mhz = toolchain.clock(routed.timing.fmax_mhz)
            job.about("bitstream")
            begin = time.monotonic()
            report.notes += toolchain.pack(job, routed, clock_mhz=report.clock_mhz)
            report.notes += toolchain.verify(job, routed)
            report.costs["bitstream"] = (time.monotonic() - begin, 0.0)
            report.state = "done" if report.met else "timing missed"
            _clean(job, seeds)
            report.seconds = time.monotonic() - start
            _write(job, toolchain, report)
        except BuildError as error:
            logs = folder.keep_logs()
            raise type(error)(f"{error} (logs: {logs})") from None
        finally:
            runner.stop()
        folder.keep()
    return report


def missing_tools(board: Board, *, netlist_only: bool = False) -> list[Tool]:
    """Return the programs that `build` needs and that are not installed."""
    toolchain = get_toolchain(board)
    tools = toolchain.synthesis_tools()
    if not netlist_only:
        tools += toolchain.tools()
    return [tool for tool in tools if tool.found is None]


class _Checking:
    """The check of the netlist, in a thread: place and route need not wait for it.

    A difference stops place and route.
    """

    def __init__(self, job: Job, report: Report, check: NetlistCheck) -> None:
        self._job = job
        self._report = report
        self._check = check
        self._error: BaseException | None = None
        # If the build is interrupted, it is not waited for.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        job = self._job
        begin = time.monotonic()
        try:
            note = self._check(job.netlist, job.board, job.arch, job.say)
        except BaseException as error:
            self._error = error
            job.runner.stop()
            return
        self._report.notes.append(note)
        self._report.costs["netlist check"] = (time.monotonic() - begin, 0.0)

    def wait(self) -> None:
        """Wait for the end; raise the check's error, if any."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _netlist(job: Job, toolchain: Toolchain, report: Report) -> None:
    """Make the netlist."""
    job.about("amaranth")
    begin = time.monotonic()
    top = job.board.top(arch=job.arch)
    # Without source locations, the text does not depend on where the sources are.
    text = rtlil.convert(top, name="penstock", ports=getattr(top, "ports", None), emit_src=False)
    job.rtlil.write_text(text, encoding="utf-8")
    (job.folder / toolchain.CONSTRAINTS).write_text(
        getattr(top, "constraints", ""), encoding="utf-8"
    )
    toolchain.companions(job)
    report.costs["amaranth"] = (time.monotonic() - begin, 0.0)
    job.about("synthesis")
    cost = toolchain.synthesise(job)
    report.costs["synthesis"] = (cost.seconds, cost.megabytes)
    report.cells = count_cells(job.netlist)
    report.used = usage(report.cells, toolchain.CELLS)
    for resource, total in job.board.resources.items():
        if report.used.get(resource, 0) > total:
            raise BuildError(
                f"arch {job.arch.name} does not fit {job.board.name}: it takes "
                f"{report.used[resource]:g} {resource} of {total}"
            )


def _best_seed(
    job: Job,
    toolchain: Toolchain,
    report: Report,
    seeds: Sequence[int],
    deadline: float,
    jobs: int,
) -> Routed:
    """Place and route with every seed; return the fastest, the smaller seed of equals."""

    def one(seed: int) -> tuple[SeedResult, Routed | None]:
        begin = time.monotonic()
        try:
            routed = toolchain.place_and_route(job, seed=seed, deadline=deadline)
        except StoppedError:
            spent = time.monotonic() - begin
            return SeedResult(seed=seed, outcome="stopped", seconds=spent), None
        except BuildError as error:
            spent = time.monotonic() - begin
            reason = str(error)[:200]
            return SeedResult(seed=seed, outcome="failed", seconds=spent, reason=reason), None
        result = SeedResult(
            seed=seed,
            outcome="routed",
            fmax_mhz=routed.timing.fmax_mhz,
            seconds=routed.cost.seconds,
            megabytes=routed.cost.megabytes,
        )
        job.say(f"seed {seed}: {routed.timing.fmax_mhz:.1f} MHz")
        return result, routed

    left = max(deadline - time.monotonic(), 1.0)
    job.about("place and route", seeds=len(seeds), jobs=max(1, jobs), limit=left)
    begin = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        try:
            results = list(pool.map(one, seeds))
        except BaseException:
            job.runner.stop()  # otherwise the pool would wait for the programs to end
            raise
    report.costs["place and route"] = (
        time.monotonic() - begin,
        max(result.megabytes for result, _ in results),
    )
    report.seeds = [result for result, _ in results]
    done = [routed for _, routed in results if routed is not None]
    if not done:
        failed = [result for result in report.seeds if result.outcome == "failed"]
        reason = failed[0].reason if failed else "the time was over before one was through (--time)"
        raise BuildError(f"none of {len(seeds)} seeds could be placed and routed: {reason}")
    return min(done, key=lambda routed: (-routed.timing.fmax_mhz, routed.seed))


def _clean(job: Job, seeds: Sequence[int]) -> None:
    """Remove intermediate files of the steps."""
    for seed in seeds:
        for path in job.folder.glob(f"seed{seed}.*"):
            path.unlink()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(job: Job, toolchain: Toolchain, report: Report) -> None:
    """Write the manifest and the report."""
    tools = [*toolchain.synthesis_tools(), *toolchain.tools()]
    files = sorted(
        path for path in job.folder.iterdir() if path.is_file() and path.name not in _VARYING
    )
    manifest = {
        "board": job.board.name,
        "part": job.board.part,
        "arch": asdict(job.arch),
        "fingerprint": f"{job.arch.fingerprint:016x}",
        "state": report.state,
        "seed": report.seed,
        "target_mhz": job.board.target_mhz,
        "fmax_mhz": report.timing.fmax_mhz if report.timing else None,
        "clock_mhz": report.clock_mhz,
        "toolchain": job.board.toolchain,
        "tools": {tool.name: tool.found for tool in tools},
        "files": {path.name: _digest(path) for path in files},
    }
    for name, value in (("manifest.json", manifest), ("report.json", report.as_json())):
        (job.folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    (job.folder / "report.md").write_text(report.as_markdown(), encoding="utf-8")
