"""Plant single faults in the core and report which ones the tests catch: ``make mutate``.

A stopped run is resumed if no file of the tree has changed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from penstock.sim.mutation.mutant import Mutant, draw
from penstock.sim.mutation.report import summary
from penstock.sim.mutation.run import MutationError, Record, Result, core_modules, digest, run
from penstock.sim.mutation.sites import sites

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the mutants; return 0 if enough are caught, 1 if not, 2 for bad options."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="faults, default 100")
    parser.add_argument("--seed", type=int, default=1, help="of the draw, default 1")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time, default 1")
    parser.add_argument("--least", type=float, default=95.0, help="per cent to be caught")
    parser.add_argument("--module", action="append", help="instead of the core: hw/NAME.py")
    parser.add_argument("--list", action="store_true", help="list all sites and end")
    options = parser.parse_args(arguments)
    if options.count < 1 or options.jobs < 1:
        parser.error("--count and --jobs must be positive")
    names = options.module or core_modules(ROOT)
    for name in names:
        if not (ROOT / name).is_file():
            parser.error(f"no module {name}")
    found = [site for name in names for site in sites(ROOT / name, ROOT)]
    if options.list:
        for site in found:
            print(f"{site.path}:{site.line} {site.kind}: {site.before} -> {' | '.join(site.after)}")
        return 0
    record = Record(ROOT / "build" / "mutation" / f"{digest(ROOT)}.jsonl")
    start = time.monotonic()
    count = 0

    def report(mutant: Mutant, result: Result, by: str) -> None:
        nonlocal count
        count += 1
        site = mutant.site
        where = f"{site.path}:{site.line}"
        print(f"{count:4} {time.monotonic() - start:6.0f} s  {result.value:8} {where:28} {by}")
        sys.stdout.flush()

    try:
        mutants = draw(found, len(found), seed=options.seed)
        done = run(ROOT, mutants, options.count, record, jobs=options.jobs, report=report)
    except MutationError as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 1
    text, share = summary(done, sites=len(found), seed=options.seed)
    print(text)
    return 0 if share >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
