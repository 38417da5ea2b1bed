"""What a run says, as tables: the layers of `classify` and `profile`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from penstock.host.report.layer_profile import LayerFigures
from penstock.models.spec.number_format import human

__all__ = ["layer_table", "show"]


# The layer table takes 96 columns; files and pipes have no width of their own.
_LEAST_WIDTH = 100

_COLUMNS = (
    "layer",
    "MACs",
    "cycles",
    "effic.",
    "input",
    "weights",
    "output",
    "memory",
    "idle",
    "read",
    "written",
)


def show(table: Table) -> None:
    """Print a table, never narrower than the layer table needs."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    Console(width=max(width, _LEAST_WIDTH), highlight=False).print(table)


def _row(row: LayerFigures) -> list[str]:
    efficiency = "" if row.efficiency is None else f"{row.efficiency * 100:.1f} %"
    stalls = [f"{count:,}".replace(",", " ") for count in row.stalls.values()]
    return [
        row.name,
        human(row.macs),
        f"{row.cycles:,}".replace(",", " "),
        efficiency,
        *stalls,
        human(row.read_bytes, "B"),
        human(row.write_bytes, "B"),
    ]


def layer_table(layers: Iterable[LayerFigures], total: LayerFigures) -> Table:
    """Return the table of layers, with the whole in the last line."""
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        justify: Any = "left" if name == "layer" else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for layer in layers:
        table.add_row(*_row(layer))
    table.add_section()
    table.add_row(*_row(total))
    return table
