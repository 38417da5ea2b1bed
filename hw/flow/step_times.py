"""How long the steps of a build take: as the last build of the same design did, or as measured.

``step_times.json`` beside this file has seconds of wall time of whole builds of the boards' own
arches, on two cores that also did other work; a build in the folder to be written, of the same
board and arch, says more of this machine and is preferred.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.hw.boards.board import Board
from penstock.models.spec.arch import Arch

__all__ = ["STEPS", "StepTimes", "step_times"]

# In their order, with what they do; the check of the netlist runs beside place and route.
STEPS = {
    "amaranth": "Amaranth to RTLIL",
    "synthesis": "synthesis",
    "netlist check": "simulating the netlist against the golden model",
    "place and route": "place and route",
    "bitstream": "packing and reading back the bitstream",
}

_MEASURED = Path(__file__).with_name("step_times.json")


@dataclass(frozen=True)
class StepTimes:
    """Expected seconds of each step.

    Parameters
    ----------
    seconds : mapping of str to float
        By the names of `STEPS`; of place and route for one seed.  Steps may be missing.
    source : str
        Where they were measured.
    """

    seconds: Mapping[str, float]
    source: str

    def step(self, name: str, *, seeds: int = 1, jobs: int = 1, limit: float = 0) -> float | None:
        """Return the seconds of a step; None if nothing is known.

        Parameters
        ----------
        name : str
            One of `STEPS`.
        seeds, jobs : int
            Of place and route: placements, and how many run at a time.
        limit : float
            Seconds after which place and route ends anyway; 0: never.
        """
        one = self.seconds.get(name)
        if one is None or name != "place and route":
            return one
        together = one * -(-seeds // jobs)
        return min(together, limit) if limit else together

    def total(
        self, *, seeds: int, jobs: int, limit: float, netlist_only: bool = False
    ) -> float | None:
        """Return the seconds of a whole build: of the steps that are known.

        None if one of the long ones is not: synthesis, and place and route.
        """
        first = (self.step("amaranth") or 0) + (self.step("synthesis") or 0)
        check = self.step("netlist check") or 0
        route = self.step("place and route", seeds=seeds, jobs=jobs, limit=limit)
        if self.step("synthesis") is None:
            return None
        if netlist_only:
            return first + check if check else None
        if route is None:
            return None
        return first + max(check, route) + (self.step("bitstream") or 0)


def _from_report(path: Path, board: Board, arch: Arch) -> dict[str, float]:
    """Seconds of each step of an earlier build; nothing if it was of something else."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if (report["board"], report["fingerprint"]) != (board.name, f"{arch.fingerprint:016x}"):
            return {}
        found = {name: float(cost["seconds"]) for name, cost in report["costs"].items()}
        routed = [float(seed["seconds"]) for seed in report["seeds"] if seed["outcome"] == "routed"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # an estimate is not worth an error
    # That of all seeds together depends on how many there were, and on the time limit.
    found.pop("place and route", None)
    if routed:
        found["place and route"] = sum(routed) / len(routed)
    return {name: found[name] for name in STEPS if name in found}


def step_times(board: Board, arch: Arch, folder: Path) -> StepTimes | None:
    """Return what is known of the steps of a build; None if nothing is.

    Parameters
    ----------
    board : Board
    arch : Arch
    folder : Path
        That the build will write: it may hold an earlier one.
    """
    measured = json.loads(_MEASURED.read_text(encoding="utf-8"))
    known: dict[str, float] = {}
    if board.name in measured and arch == board.preset:
        known = measured[board.name]
    earlier = _from_report(folder / "report.json", board, arch)
    if earlier:
        return StepTimes({**known, **earlier}, f"the last build in {folder}")
    return StepTimes(known, "builds on two busy cores") if known else None
