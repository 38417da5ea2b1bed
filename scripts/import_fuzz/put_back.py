"""Each fault of `faults.FAULTS` put back: the first graph that shows it, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnx

from scripts.import_fuzz.draft import Case, case_of
from scripts.import_fuzz.faults import FAULTS
from scripts.import_fuzz.kinds import case_of_seed
from scripts.import_fuzz.planted import Fault, Importer, planted
from scripts.import_fuzz.shrink import shrunk
from scripts.import_fuzz.verdict import Verdict, judged, scratch

__all__ = ["Found", "first_finding", "found_again", "put_back", "stored"]


@dataclass(frozen=True)
class Found:
    """What the fuzzer found of a fault.

    Parameters
    ----------
    fault : Fault
    graphs : int
        How many graphs it took; 0 if it was not found.
    verdict : Verdict or None
        On the smallest graph.
    nodes : int
        Of the smallest graph, constants aside.
    """

    fault: Fault
    graphs: int
    verdict: Verdict | None = None
    nodes: int = 0


def stored(folder: Path, fault: Fault) -> Path:
    """Return where the smallest graph that shows a fault is kept."""
    return folder / f"fault-{FAULTS.index(fault) + 1:02}.onnx"


def found_again(path: Path, importer: Importer) -> Verdict:
    """Return what comes of a kept graph."""
    with scratch() as folder:
        return judged(case_of(onnx.load(path)), folder, importer.importer, importer.written)


def first_finding(
    fault: Fault, importer: Importer, seeds: range, folder: Path
) -> tuple[Case, Verdict] | None:
    """Return the first graph on which the importer's own check finds the fault."""
    for seed in seeds:
        case = case_of_seed(seed)
        kinds = {node.op_type for node in case.model.graph.node}
        if fault.operators and not kinds.intersection(fault.operators):
            continue
        verdict = judged(case, folder, importer.importer, importer.written)
        if verdict.kind == "mismatch":
            return case, verdict
    return None


def _one(index: int, seeds: range, to: Path | None) -> Found:
    fault = FAULTS[index]
    importer = planted(fault)
    with scratch() as folder:
        found = first_finding(fault, importer, seeds, folder)
        if found is None:
            return Found(fault, 0)
        case, _ = found
        sound = Importer.loaded()

        def judge(made: Case) -> Verdict:
            verdict = judged(made, folder, importer.importer, importer.written)
            if verdict.finding and judged(made, folder, sound.importer, sound.written).finding:
                return Verdict("not counted", "found without the fault as well")
            return verdict

        small, verdict = shrunk(case, judge)
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
            onnx.save(small.stamped(), stored(to, fault))
    return Found(
        fault,
        case.seed - seeds.start + 1,
        verdict,
        sum(bool(n.input) for n in small.model.graph.node),
    )


def put_back(count: int, seed: int, jobs: int, to: Path | None = None) -> Iterator[Found]:
    """Put back each fault and look for it in `count` graphs; the smallest ones are kept at `to`."""
    seeds = range(seed, seed + count)
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_one, range(len(FAULTS)), [seeds] * len(FAULTS), [to] * len(FAULTS))
