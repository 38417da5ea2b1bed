"""Random ONNX graphs through the importer, judged by onnxruntime: ``make fuzz-import``.

Each graph is a seed, which a finding names: ``make fuzz-import N=1 SEED=<seed>`` repeats it.  What
fails is made smaller and kept as a file, which ``--replay FILE`` tries again.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import onnx

from scripts.import_fuzz.campaign import Report, campaign
from scripts.import_fuzz.draft import Case, case_of
from scripts.import_fuzz.kinds import case_of_seed
from scripts.import_fuzz.put_back import put_back
from scripts.import_fuzz.shrink import shrunk
from scripts.import_fuzz.verdict import Verdict, judged, scratch

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent

# Findings that are made smaller: more of them are mostly the same.
_SHRUNK = 10


def _judge(case: Case, folder: Path) -> Verdict:
    from penstock.models.onnx_export import deploy_export
    from penstock.models.onnx_io import importer, written_check

    return judged(case, folder, importer, (deploy_export, written_check))


def _show(case: Case, verdict: Verdict) -> None:
    print(f"seed {case.seed}: {verdict.kind}: {verdict.text or 'nothing to say'}")
    # Long constants say nothing to a reader.
    text = onnx.printer.to_text(case.model)
    print(re.sub(r"([=\]]\s+\{[^{}\n]{60})[^{}\n]{20,}\}", r"\1 ...}", text))


def _shrink(case: Case, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        small, verdict = shrunk(case, lambda candidate: _judge(candidate, folder))
    path = to / f"seed-{case.seed}.onnx"
    onnx.save(small.stamped(), path)
    _show(small, verdict)
    print(f"kept as {path}: python -m scripts.fuzz_import --replay {path}\n")


def _replay(path: Path) -> int:
    case = case_of(onnx.load(path))
    with scratch() as folder:
        verdict = _judge(case, folder)
    _show(case, verdict)
    return 1 if verdict.finding else 0


def _faults(count: int, seed: int, jobs: int, to: Path) -> int:
    missed = 0
    print("| fault put back | graphs until found | found by | in a graph of |")
    print("| --- | --- | --- | --- |")
    for found in put_back(count, seed, jobs, to):
        by = {"mismatch": "self-check", "wrong": "final output only"}
        kind = found.verdict.kind if found.verdict is not None else "nobody"
        missed += kind != "mismatch"
        graphs = found.graphs or f"more than {count}"
        size = f"{found.nodes} node{'s' * (found.nodes != 1)}"
        print(f"| {found.fault.name} | {graphs} | {by.get(kind, kind)} | {size} |", flush=True)
    return 1 if missed else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the graphs; return 0 if nothing was found, 1 if something was."""
    parser = argparse.ArgumentParser(prog="make fuzz-import", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="graphs, default 1000")
    parser.add_argument("--seed", type=int, default=0, help="of the first graph, default 0")
    parser.add_argument("--jobs", type=int, default=2, help="processes, default 2")
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "import-fuzz")
    parser.add_argument("--replay", type=Path, help="try one file again")
    parser.add_argument(
        "--faults", action="store_true", help="put back each known fault and look for it"
    )
    options: Any = parser.parse_args(arguments)
    if options.replay is not None:
        return _replay(options.replay)
    if options.faults:
        return _faults(options.count, options.seed, options.jobs, options.to / "faults")
    if options.count < 1 or options.jobs < 1 or options.seed < 0:
        parser.error("--count and --jobs must be positive, --seed not negative")

    def progress(report: Report) -> None:
        if sys.stderr.isatty():
            print(f"\r{sum(report.verdicts.values())}", end="", file=sys.stderr, flush=True)

    report = campaign(options.count, options.seed, options.jobs, progress)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    for seed, verdict in report.findings:
        print(f"seed {seed}: {verdict.kind}: {verdict.text}")
    for seed, _ in report.findings[:_SHRUNK]:
        _shrink(case_of_seed(seed), options.to)
    print(report.text())
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
