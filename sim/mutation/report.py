"""Results of a mutation run as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.sim.mutation.mutant import KINDS, Mutant
from penstock.sim.mutation.run import Result

__all__ = ["summary"]


def summary(done: Sequence[tuple[Mutant, Result]], *, sites: int, seed: int) -> tuple[str, float]:
    """Return the report and the share of mutants that were caught, in per cent."""
    counted = [(mutant, result) for mutant, result in done if result.counts]
    survivors = [mutant for mutant, result in counted if result is Result.SURVIVED]
    equal = [mutant for mutant, result in done if result is Result.EQUAL]
    hung = sum(result is Result.HUNG for _, result in counted)
    caught = len(counted) - len(survivors)
    share = 100 * caught / len(counted) if counted else 0.0
    lines = ["", *_table(counted, "kind", lambda mutant: mutant.site.kind, KINDS)]
    names = sorted({mutant.site.path for mutant, _ in counted})
    lines += ["", *_table(counted, "module", lambda mutant: mutant.site.path, names)]
    for title, mutants in (("survivors", survivors), ("proved to change nothing", equal)):
        lines += ["", f"{title}: {len(mutants)}"]
        for mutant in mutants:
            site = mutant.site
            lines += [
                f"  {site.path}:{site.line} ({site.kind})",
                f"    before {mutant.before}",
                f"    after  {mutant.after}",
            ]
    refused = len(done) - len(counted) - len(equal)
    lines += [
        "",
        f"{caught} of {len(counted)} faults caught ({share:.1f} %), {hung} of them by the time "
        f"limit; {refused} more refused by Amaranth, {len(equal)} proved to change nothing; "
        f"seed {seed}, {sites} sites",
    ]
    return "\n".join(lines), share


def _table(
    counted: Sequence[tuple[Mutant, Result]],
    title: str,
    group: Callable[[Mutant], str],
    names: Sequence[str],
) -> list[str]:
    lines = [f"{title:24} faults  caught"]
    for name in names:
        results = [result for mutant, result in counted if group(mutant) == name]
        missed = results.count(Result.SURVIVED)
        lines.append(f"{name:24} {len(results):6} {len(results) - missed:7}")
    return lines
