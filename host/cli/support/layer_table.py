"""Tables on a terminal, and the layer table of `classify` and `profile`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from penstock.host.cli.support import fitted
from penstock.host.cli.support.fitted import Column, Rows
from penstock.host.report.layer_profile import LayerFigures
from penstock.models.spec.number_format import grouped, human, percent

__all__ = ["LAYER_NOTES", "layer_table", "show"]


_COLUMNS = (
    "layer",
    "MACs",
    "cycles",
    "effic.",
    "padding",
    "input",
    "weights",
    "output",
    "memory",
    "idle",
    "read",
    "written",
)

# What stands below the table.
LAYER_NOTES = (
    "effic.: cycles of multiply-accumulates, for this layer or already for the next, as a share of "
    "the cycles. The cycles that it lacks are padding (rows and columns of the array without "
    "weights), waits for input, weights and output, and idle; memory is the part of input and "
    "weights spent waiting for memory."
)


def show(table: Table) -> None:
    """Print a table so that it fits the terminal, with every figure whole."""
    columns = [
        Column(str(column.header), text=index > 0 and column.justify == "left")
        for index, column in enumerate(table.columns)
    ]
    rows = list(zip(*([str(cell) for cell in column.cells] for column in table.columns)))
    total = any(row.end_section for row in table.rows)
    fitted.show(Rows(columns, rows, total=total))


def _row(row: LayerFigures) -> list[str]:
    stalls = [grouped(count) for count in row.stalls.values()]
    return [
        row.name,
        human(row.macs),
        grouped(row.cycles),
        percent(row.efficiency),
        grouped(row.padding),
        *stalls,
        human(row.read_bytes, "B"),
        human(row.write_bytes, "B"),
    ]


def layer_table(layers: Iterable[LayerFigures], total: LayerFigures) -> Table:
    """Return the table of layers, with the total in the last line."""
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        justify: Any = "left" if name == "layer" else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for layer in layers:
        table.add_row(*_row(layer))
    table.add_section()
    table.add_row(*_row(total))
    return table
