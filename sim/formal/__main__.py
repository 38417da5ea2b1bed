"""Run the proofs: ``python -m penstock.sim.formal [NAME ...]``."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from penstock.sim.formal.catalog import PROOFS
from penstock.sim.formal.checking.proof import Proof, Result, find_fault, prove

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run proofs and find their planted faults; print a line for each and a table.

    Returns
    -------
    int
        0 if everything is proved and every fault found, 1 if not, 2 for an unknown name.
    """
    parser = argparse.ArgumentParser(prog="sim.formal", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs whose names contain this")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds for each (default: 300)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the tools' files here")
    options = parser.parse_args(arguments)
    chosen = [p for p in PROOFS if not options.names or any(n in p.name for n in options.names)]
    if not chosen:
        print(f"penstock: no proof is called {options.names[0]!r}", file=sys.stderr)
        return 2
    start = time.monotonic()
    results = _run(chosen, options)
    failed = _table(chosen, results)
    print(
        f"{len(chosen) - failed} passed, {failed} failed in {time.monotonic() - start:.0f} s",
        flush=True,
    )
    return 1 if failed else 0


def _run(proofs: list[Proof], options: argparse.Namespace) -> dict[tuple[int, int], Result]:
    """The result of each proof, (index, -1), and of each of its faults."""
    results: dict[tuple[int, int], Result] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        tasks = {}
        for index, proof in enumerate(proofs):
            folder = options.keep / proof.name.replace(" ", "-") if options.keep else None
            task = pool.submit(prove, proof, timeout=options.timeout, folder=folder)
            tasks[task] = (index, -1)
            for number, fault in enumerate(proof.faults):
                task = pool.submit(find_fault, proof, fault, timeout=options.timeout)
                tasks[task] = (index, number)
        for done in as_completed(tasks):
            index, number = key = tasks[done]
            result = results[key] = done.result()
            what = "claims" if number < 0 else f"fault {number + 1}"
            verdict = result.problem or ("proved" if number < 0 else "found")
            print(
                f"[{len(results)}/{len(tasks)}] {proofs[index].name}, {what}: {verdict} "
                f"({result.seconds:.1f} s)",
                flush=True,
            )
    return results


def _table(proofs: list[Proof], results: dict[tuple[int, int], Result]) -> int:
    """Print all results and return how many proofs failed."""
    failed = 0
    width = max(len(proof.name) for proof in proofs)
    print(f"\n{'block':{width}}  {'proof':21}  {'seconds':>7}  faults found")
    for index, proof in enumerate(proofs):
        result = results[index, -1]
        found = [not results[index, n].problem for n in range(len(proof.faults))]
        print(
            f"{proof.name:{width}}  {proof.kind:21}  {result.seconds:7.1f}  "
            f"{sum(found)} of {len(found)}" + (f"  {result.problem}" if result.problem else "")
        )
        failed += bool(result.problem) or not all(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
