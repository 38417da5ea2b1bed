"""Many seeds on several processes, and what came of them in a few lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from scripts.import_fuzz.kinds import case_of_seed
from scripts.import_fuzz.verdict import FINDINGS, Verdict, judged, scratch

__all__ = ["Report", "Tally", "campaign", "seed_verdicts"]

# Seeds that a process takes at a time.
_SHARE = 50


def seed_verdicts(seeds: range) -> Iterator[tuple[int, Verdict]]:
    """Yield each seed and what came of its graph."""
    from penstock.models.onnx_export import deploy_export
    from penstock.models.onnx_io import importer, written_check

    with scratch() as folder:
        for seed in seeds:
            case = case_of_seed(seed)
            yield seed, judged(case, folder, importer, (deploy_export, written_check))


def _share(seeds: range) -> list[tuple[int, Verdict]]:
    return list(seed_verdicts(seeds))


@dataclass
class Tally:
    """How often graphs with an operator were accepted."""

    seen: int = 0
    accepted: int = 0


@dataclass
class Report:
    """What came of all graphs so far.

    Members
    -------
    verdicts : Counter of str
    reasons : Counter of str
        Of refusals, without names and numbers.
    operators : dict of Tally
        By operator; graphs that the judge cannot run are left out.
    findings : list of (seed, Verdict)
    seconds : float
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    operators: dict[str, Tally] = field(default_factory=dict)
    findings: list[tuple[int, Verdict]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, seed: int, verdict: Verdict) -> None:
        """Count a graph."""
        self.verdicts[verdict.kind] += 1
        if verdict.kind == "refused":
            self.reasons[verdict.reason] += 1
        if verdict.finding:
            self.findings.append((seed, verdict))
        if verdict.kind == "not counted":
            return
        for operator in verdict.operators:
            tally = self.operators.setdefault(operator, Tally())
            tally.seen += 1
            tally.accepted += verdict.kind == "equal"

    @property
    def accepted(self) -> float:
        """Part of the valid graphs that was accepted and is right."""
        valid = sum(self.verdicts.values()) - self.verdicts["not counted"]
        return self.verdicts["equal"] / max(valid, 1)

    def text(self) -> str:
        """Return tables of operators and refusals, and the summary."""
        lines = ["operator                 graphs  accepted"]
        for name, tally in sorted(self.operators.items()):
            lines.append(f"{name:24} {tally.seen:6}  {100 * tally.accepted / tally.seen:6.1f} %")
        lines += ["", "refused because"]
        lines += [f"{count:6}  {reason}" for reason, count in self.reasons.most_common(20)]
        return "\n".join([*lines, "", self.summary()])

    def summary(self) -> str:
        """Return the last line."""
        count = sum(self.verdicts.values())
        findings = ", ".join(f"{self.verdicts[kind]} {kind}" for kind in FINDINGS)
        return (
            f"{count} graphs, {self.verdicts['equal']} accepted and equal "
            f"({100 * self.accepted:.1f} % of the valid ones), {self.verdicts['refused']} refused, "
            f"{self.verdicts['not counted']} not counted; findings: {findings}; "
            f"{count / max(self.seconds, 1e-9) * 60:.0f} graphs a minute"
        )


def campaign(
    count: int, seed: int, jobs: int, progress: Callable[[Report], None] = lambda report: None
) -> Report:
    """Draw `count` graphs from `seed` on and return what came of them.

    Raises
    ------
    BrokenProcessPool
        If a process ended, as it does where onnxruntime ends it.
    """
    report = Report()
    start = time.monotonic()
    shares = [range(at, min(at + _SHARE, seed + count)) for at in range(seed, seed + count, _SHARE)]
    with ProcessPoolExecutor(jobs) as pool:
        for verdicts in pool.map(_share, shares):
            for number, verdict in verdicts:
                report.add(number, verdict)
            report.seconds = time.monotonic() - start
            progress(report)
    return report
