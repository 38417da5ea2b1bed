"""What a run says: the per-layer table, and the JSON of `classify` and `profile`.

Figures of layers and of `totals` are for one image, the mean where there were several; the seconds
are those of the whole command.  ``cycles`` of a layer go from the end of the layer before to its
own end; ``totals.cycles`` from the start bit to done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.host.cli.support.fitted import Column, Rows
from penstock.host.devices.device import RunLog
from penstock.host.program.program import LayerInfo
from penstock.host.program.tensor_layout import BEAT
from penstock.host.runtime.session import Result
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, human, percent
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["LAYER_NOTES", "LayerFigures", "figures", "layer_table", "report_json", "run_seconds"]

# What stands below the table of a run.
LAYER_NOTES = (
    "effic.: multiply-accumulates in these cycles, for this layer or already for the next, as a "
    "share of the array's peak. Cycles lost: padding to rows and columns of the array without "
    "weights; input, weights, output and idle to waiting (memory is the part of input and weights "
    "that memory caused). What an efficiency lacks of 100 % is in these columns."
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


def _useful(row: LayerFigures, part: Mapping[str, int] | None) -> float | None:
    """Share of the array's peak that was multiply-accumulates a network asked for."""
    if part is None:
        return row.efficiency
    return (part["work"] + part["ahead"]) / row.cycles if row.cycles else None


def _row(row: LayerFigures, part: Mapping[str, int] | None) -> list[str]:
    return [
        row.name,
        human(row.macs),
        grouped(row.cycles),
        percent(_useful(row, part)),
        *([] if part is None else [grouped(part["padding"])]),
        *(grouped(count) for count in row.stalls.values()),
        human(row.read_bytes, "B"),
        human(row.write_bytes, "B"),
    ]


def layer_table(
    layers: Sequence[LayerFigures],
    total: LayerFigures,
    parts: Sequence[Mapping[str, int]] | None = None,
) -> Rows:
    """Return the table of layers, with the whole in the last line.

    Parameters
    ----------
    layers : sequence of LayerFigures
    total : LayerFigures
    parts : sequence of mappings or None
        The cycle breakdown of each layer and of the whole (`host.timing.cycle_breakdown`).  With it
        ``effic.`` is what the array did in the layer's own cycles, be it for this layer or already
        for the next, and so at most 100 %; and ``padding`` are cycles lost to rows and columns
        without weights.
    """
    names = ["MACs", "cycles", "effic.", *([] if parts is None else ["padding"])]
    names += [*total.stalls, "read", "written"]
    given = [None] * (len(layers) + 1) if parts is None else list(parts)
    rows = [_row(row, part) for row, part in zip([*layers, total], given, strict=True)]
    return Rows([Column("layer"), *map(Column, names)], rows, total=True)


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
