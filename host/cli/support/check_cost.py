"""What `--check` costs: predicted cycles with every map stored, and without."""

from __future__ import annotations

from penstock.host.api.compiled import Compiled, compile_for
from penstock.host.cli.support.progress import task
from penstock.models.spec.number_format import grouped, percent

__all__ = ["check_cost"]


def check_cost(compiled: Compiled) -> str:
    """Return a sentence on the cycles that storing every feature map costs, as predicted.

    Parameters
    ----------
    compiled : Compiled
        What ran with `--check`.
    """
    if compiled.fixed:
        return "With --check the maps that the program stores were compared: it is not changed."
    with task("predicting the cycles without --check"):
        plain = compile_for(
            compiled.network, compiled.arch, batch=compiled.program.batch, fc=compiled.fc
        )
        without = plain.predict().total.cycles
        checked = compiled.predict().total.cycles
    return (
        f"With --check every feature map is stored: {grouped(checked)} cycles an image predicted, "
        f"{grouped(without)} without ({percent(max(checked / without - 1, 0), 2)} more)."
    )
