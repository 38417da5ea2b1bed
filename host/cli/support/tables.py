"""What a run says: the per-layer table, and the JSON of `classify` and `profile`.

Figures of layers and of `totals` are for one image, the mean where there were several; the seconds
are those of the whole command.  ``cycles`` of a layer go from the end of the layer before to its
own end; ``totals.cycles`` from the start bit to done.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from penstock.host.devices.device import RunLog
from penstock.host.program.program import LayerInfo
from penstock.host.program.tensor_layout import BEAT
from penstock.host.runtime.session import Result
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["LayerFigures", "figures", "human", "layer_table", "report_json", "run_seconds", "show"]


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


@dataclass(frozen=True)
class LayerFigures:
    """Counts of one layer, or of a whole run.

    Parameters
    ----------
    name : str
    macs : int
        What the network asks for.
    counts : dict
        By the names of `models.spec.regs.LOG_FIELDS`.
    peak : int
        Multiply-accumulates the array can do each cycle.
    """

    name: str
    macs: int
    counts: dict[str, int]
    peak: int

    @property
    def cycles(self) -> int:
        """Cycles it took; 0 on devices that do not count."""
        return self.counts["cycles"]

    @property
    def efficiency(self) -> float | None:
        """Share of the array's peak, None on devices that do not count."""
        return self.macs / (self.cycles * self.peak) if self.cycles else None

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles in which the array stood still, by cause.

        ``memory`` is the part of ``input`` and ``weights`` in which memory kept the port waiting;
        ``idle`` are cycles without a CONV descriptor to work on.
        """
        counts = self.counts
        waits = {name: counts[f"stall_{name}"] for name in ("input", "weights", "output")}
        idle = counts["cycles"] - counts["busy"] - sum(waits.values())
        return {**waits, "memory": counts["stall_memory"], "idle": idle}

    @property
    def read_bytes(self) -> int:
        """Bytes read from memory."""
        return self.counts["read_beats"] * BEAT

    @property
    def write_bytes(self) -> int:
        """Bytes written to memory."""
        return self.counts["write_beats"] * BEAT

    def to_json(self) -> dict[str, Any]:
        """Return the layer as the JSON report has it."""
        return {
            "name": self.name,
            "macs": self.macs,
            "cycles": self.cycles,
            "efficiency": self.efficiency,
            "stalls": self.stalls,
            "ddr_read_bytes": self.read_bytes,
            "ddr_write_bytes": self.write_bytes,
        }


def _mean(counts: Sequence[dict[str, int]], batch: int) -> dict[str, int]:
    """Counts of one image, from those of runs of a batch each."""
    runs = len(counts) * batch
    return {name: round(sum(c[name] for c in counts) / runs) for name, _ in LOG_FIELDS}


def _distinct(logs: Iterable[RunLog]) -> list[RunLog]:
    """Leave out what several images of a batch have in common."""
    return list({id(log): log for log in logs}.values())


def run_seconds(results: Sequence[Result]) -> float:
    """Seconds that the device ran."""
    return sum(log.seconds for log in _distinct(result.log for result in results))


def figures(
    layers: Sequence[LayerInfo], logs: Sequence[RunLog], arch: Arch, *, batch: int = 1
) -> tuple[list[LayerFigures], LayerFigures]:
    """Return the figures of each layer, and of the whole, for one image.

    Parameters
    ----------
    logs : sequence of RunLog
        One for each image; those of a batch are one and the same.
    batch : int
        Images of one run.

    Raises
    ------
    ValueError
        If a log does not have one entry for each layer.
    """
    runs = _distinct(logs)
    steps = [log.steps() for log in runs]
    for log in steps:
        if len(log) != len(layers):
            raise ValueError(f"{len(layers)} layers, but {len(log)} entries in the layer log")
    peak = arch.macs_per_cycle
    each = [
        LayerFigures(
            layer.name, layer.macs // batch, _mean([log[index] for log in steps], batch), peak
        )
        for index, layer in enumerate(layers)
    ]
    macs = sum(layer.macs for layer in layers) // batch
    return each, LayerFigures("total", macs, _mean([log.totals for log in runs], batch), peak)


def show(table: Table) -> None:
    """Print a table, never narrower than the layer table needs."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    Console(width=max(width, _LEAST_WIDTH), highlight=False).print(table)


def human(value: float, unit: str = "") -> str:
    """Return a number with three or four digits and a decimal prefix: 105.4 M."""
    for prefix in ("", "k", "M", "G"):
        if abs(value) < 1000 or prefix == "G":
            break
        value /= 1000
    digits = f"{value:.0f}" if prefix == "" else f"{value:.1f}"
    return f"{digits} {prefix}{unit}".rstrip()


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


def report_json(
    *,
    model: str,
    arch: Arch,
    device: str,
    paths: Sequence[str],
    results: Sequence[Result],
    checked: bool,
    layers: Sequence[LayerFigures],
    total: LayerFigures,
    wall_seconds: float,
) -> dict[str, Any]:
    """Return the report of `classify` and `profile`; its keys are a contract.

    ``mismatches`` is null where nothing was compared, ``efficiency`` where nothing was counted.
    """
    images = [
        {
            "path": path,
            "top": [
                {"index": answer.index, "label": answer.label, "score": answer.score}
                for answer in result.top
            ],
            "mismatches": result.mismatch_count if checked else None,
        }
        for path, result in zip(paths, results)
    ]
    return {
        "model": model,
        "arch": arch.name,
        "device": device,
        "images": images,
        "layers": [layer.to_json() for layer in layers],
        "totals": {
            "macs": total.macs,
            "cycles": total.cycles,
            "efficiency": total.efficiency,
            "ddr_bytes": total.read_bytes + total.write_bytes,
            "sim_seconds": run_seconds(results),
            "cpu_seconds": sum(result.cpu_seconds for result in results),
            "wall_seconds": wall_seconds,
        },
    }
