"""Profile of a run by layer: cycles, efficiency, stalls, memory traffic, cycle breakdown.

Figures are for one image, the mean if there were several.  ``cycles`` of a layer go from the end of
the layer before to its own end; the total's from the start bit to done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.host.compiler.planning.cost import predict
from penstock.host.devices.device import RunLog
from penstock.host.program.program import Program
from penstock.host.program.tensor_layout import BEAT
from penstock.host.report.plot import Plot
from penstock.host.timing.cycle_breakdown import CAUSES, cycle_breakdown
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, human, percent
from penstock.models.spec.plain_table import PlainTable
from penstock.models.spec.regs import LOG_FIELDS

__all__ = [
    "LayerFigures",
    "LayerProfile",
    "distinct_logs",
    "measured_profile",
    "predicted_profile",
]

# As the API shows them; the command line has columns of its own (`host.cli.support.layer_table`).
_COLUMNS = ("layer", "MACs", "cycles", "efficiency", "padding")
_STALLS = ("input", "weights", "output", "memory", "idle")


@dataclass(frozen=True)
class LayerFigures:
    """Counts of one layer, or of a whole run.

    Parameters
    ----------
    name : str
    macs : int
        Multiply-accumulates of the network.
    counts : dict
        Counters by the names of `models.spec.regs.LOG_FIELDS`; a prediction has no
        ``stall_memory``.
    peak : int
        Multiply-accumulates of the array per cycle.
    covers : tuple of str
        The network's layers that it computes.
    breakdown : dict
        Cycles by cause (`host.timing.cycle_breakdown`); empty on devices that do not count.
    whole : bool
        Whether these are the counts of a whole run.
    """

    name: str
    macs: int
    counts: dict[str, int]
    peak: int
    covers: tuple[str, ...] = ()
    breakdown: dict[str, int] = field(default_factory=dict)
    whole: bool = False

    @property
    def cycles(self) -> int:
        """Cycles it took; 0 on devices that do not count."""
        return self.counts["cycles"]

    @property
    def useful(self) -> int:
        """Cycles of multiply-accumulates: the layer's, or already those of the layers after it.

        A layer ends with its last byte in memory; by then the array is busy with the next one.
        """
        return self.breakdown["work"] + self.breakdown["ahead"] if self.breakdown else 0

    @property
    def efficiency(self) -> float | None:
        """Share of its cycles that are `useful`, None on devices that do not count.

        Of a whole run ``macs / (cycles * peak)``: the same, but that rows which no pooling window
        reads, and the array leaves out, count as done.
        """
        if self.whole:
            return self.macs / (self.cycles * self.peak) if self.cycles else None
        return self.useful / self.cycles if self.breakdown and self.cycles else None

    @property
    def padding(self) -> int | None:
        """Cycles lost to rows and columns of the array without weights; None without a count."""
        return self.breakdown.get("padding")

    @property
    def stalls(self) -> dict[str, int]:
        """Stall cycles of the array, by cause.

        ``memory`` is the part of ``input`` and ``weights`` in which memory kept the port waiting;
        ``idle`` are cycles without a CONV descriptor to work on.
        """
        counts = self.counts
        waits = {name: counts[f"stall_{name}"] for name in ("input", "weights", "output")}
        idle = counts["cycles"] - counts["busy"] - sum(waits.values())
        memory = {"memory": counts["stall_memory"]} if "stall_memory" in counts else {}
        return {**waits, **memory, "idle": idle}

    @property
    def read_bytes(self) -> int:
        """Bytes read from memory."""
        return self.counts["read_beats"] * BEAT

    @property
    def write_bytes(self) -> int:
        """Bytes written to memory."""
        return self.counts["write_beats"] * BEAT

    def _cells(self) -> list[str]:
        stalls = self.stalls
        return [
            self.name,
            human(self.macs),
            grouped(self.cycles),
            percent(self.efficiency),
            grouped(self.padding),
            *(grouped(stalls.get(name)) for name in _STALLS),
            human(self.read_bytes, "B"),
            human(self.write_bytes, "B"),
        ]


@dataclass(frozen=True, repr=False)
class LayerProfile:
    """The hardware layers of a run or of a prediction, in order, and the total.

    A sequence of `LayerFigures` that also takes names: of a hardware layer, or of any layer of the
    network that it computes.  Prints as a table.

    Parameters
    ----------
    title : str
        Title of tables and plots.
    layers : tuple of LayerFigures
    total : LayerFigures
    arch : Arch
    """

    title: str
    layers: tuple[LayerFigures, ...]
    total: LayerFigures
    arch: Arch

    @property
    def counted(self) -> bool:
        """Whether cycles were counted; the `functional` device counts none."""
        return self.total.cycles > 0

    def hardware_layer(self, name: str) -> LayerFigures:
        """Return the hardware layer that computes the network's layer `name`.

        Raises
        ------
        ValueError
            If the array computes no such layer; the message lists its layers.
        """
        for layer in self.layers:
            if name == layer.name or name in layer.covers:
                return layer
        known = ", ".join(each for layer in self.layers for each in layer.covers or (layer.name,))
        raise ValueError(f"layer must be one of {known} (those on the accelerator), not {name!r}")

    def __getitem__(self, key: int | str) -> LayerFigures:
        return self.layers[key] if isinstance(key, int) else self.hardware_layer(key)

    def __iter__(self) -> Iterator[LayerFigures]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def table(self) -> PlainTable:
        """Return a row for each layer, and one for the total."""
        names = (*_COLUMNS, *_STALLS, "read", "written")
        rows = [row._cells() for row in (*self.layers, self.total)]
        return PlainTable(names, rows, total=True, title=self.title)

    def plot(self, only: Sequence[str] | None = None) -> Plot:
        """Draw a roofline, and the cycle breakdown of each layer.

        Parameters
        ----------
        only : sequence of str, optional
            The names of the hardware layers to draw.

        Raises
        ------
        ValueError
            If nothing was counted.
        MissingPackage
            If matplotlib is not installed.
        """
        from penstock.host.report.profile_plot import draw

        if not self.counted:
            raise ValueError(f"{self.title}: this device counts no cycles, so nothing can be drawn")
        chosen = [layer for layer in self.layers if only is None or layer.name in only]
        total = self.total
        share = f"{grouped(total.cycles)} cycles an image, {percent(total.efficiency)}"
        return draw(
            chosen,
            title=f"{self.title}: {share} of the array's peak",
            arch=self.arch,
        )

    def __repr__(self) -> str:
        counted = f", {grouped(self.total.cycles)} cycles an image" if self.counted else ""
        return f"<LayerProfile of {self.title}: {len(self.layers)} layers{counted}>"

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _mean(counts: Sequence[Mapping[str, int]], batch: int) -> dict[str, int]:
    """Counts of one image, from those of runs of a batch each."""
    runs = len(counts) * batch
    return {name: round(sum(c[name] for c in counts) / runs) for name, _ in LOG_FIELDS}


def distinct_logs(logs: Iterable[RunLog]) -> list[RunLog]:
    """Keep one log of each batch, whose images share it."""
    return list({id(log): log for log in logs}.values())


def _sum(parts: Sequence[dict[str, int]], cycles: int) -> dict[str, int]:
    """The cycle breakdown of a whole run from those of its layers."""
    if not cycles:
        return {}
    sums = {name: sum(part[name] for part in parts) for name in CAUSES}
    sums["work"] += sums.pop("ahead")
    # Before the first layer begins and after the last one has ended.
    sums["idle"] += cycles - sum(sums.values())
    return {name: sums.get(name, 0) for name in CAUSES}


def _profile(
    title: str,
    program: Program,
    counts: Sequence[dict[str, int]],
    total: dict[str, int],
    arch: Arch,
) -> LayerProfile:
    peak = arch.macs_per_cycle
    batch = program.batch
    parts: Sequence[dict[str, int]] = [{} for _ in counts]
    if total["cycles"]:
        parts = cycle_breakdown(program, counts, arch)
    layers = tuple(
        LayerFigures(layer.name, layer.macs // batch, count, peak, layer.covers, part)
        for layer, count, part in zip(program.layers, counts, parts, strict=True)
    )
    macs = sum(layer.macs for layer in program.layers) // batch
    whole = LayerFigures("total", macs, total, peak, (), _sum(parts, total["cycles"]), whole=True)
    return LayerProfile(title, layers, whole, arch)


def _title(program: Program, arch: Arch, where: str) -> str:
    return f"{program.model} {where}, arch {arch.name} ({arch.rows}x{arch.cols})"


def measured_profile(
    program: Program, logs: Iterable[RunLog], arch: Arch, *, device: str
) -> LayerProfile:
    """Return the profile of runs on a device, for one image.

    Parameters
    ----------
    program : Program
    logs : iterable of RunLog
        One for each image; images of a batch share one.
    arch : Arch
    device : str
        Its name, for the title.

    Raises
    ------
    ValueError
        If there is no log, or one does not have one entry for each layer.
    """
    runs = distinct_logs(logs)
    if not runs:
        raise ValueError("a profile needs one run or more")
    steps = [log.steps() for log in runs]
    for log in steps:
        if len(log) != len(program.layers):
            raise ValueError(
                f"{len(program.layers)} layers, but {len(log)} entries in the layer log"
            )
    counts = [
        _mean([log[index] for log in steps], program.batch) for index in range(len(program.layers))
    ]
    total = _mean([log.totals for log in runs], program.batch)
    return _profile(_title(program, arch, f"on {device}"), program, counts, total, arch)


def _whole(count: Mapping[str, float]) -> dict[str, int]:
    """Round to integers so that the parts do not exceed their sum."""
    rounded = {name: round(value) for name, value in count.items()}
    waits = sum(rounded[f"stall_{name}"] for name in ("input", "weights", "output"))
    rounded["busy"] = min(rounded["busy"], rounded["cycles"] - waits)
    return rounded


def predicted_profile(program: Program, arch: Arch) -> LayerProfile:
    """Return the profile that the cost model predicts for the `rtl` device, for one image.

    Raises
    ------
    ValueError
        If the program is for another arch.
    """
    counts = []
    for cost in predict(program, arch):
        count: dict[str, float] = {"cycles": cost.cycles, "busy": cost.busy}
        count |= {f"stall_{name}": cycles for name, cycles in cost.stalls.items()}
        count |= {"read_beats": cost.read_bytes // BEAT, "write_beats": cost.write_bytes // BEAT}
        counts.append(_whole({name: value / program.batch for name, value in count.items()}))
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    return _profile(_title(program, arch, "predicted"), program, counts, total, arch)
