"""`profile`: where the cycles of a run go, as a table, a report, a picture, a timeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.cli.commands.classify import (
    BatchOption,
    DeviceArchOption,
    DeviceOption,
    FcOption,
    GroupOption,
    Job,
    JsonOption,
    ModelOption,
    OverlayOption,
    PortOption,
    VerifyOption,
    WeightsOption,
    prepare,
    work,
)
from penstock.host.cli.support.exit_status import InputError
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.profile_plot import draw, picture_format
from penstock.host.cli.support.progress import task
from penstock.host.cli.support.tables import LayerFigures
from penstock.host.inputs.catalog import sample_input
from penstock.host.report.timeline import timeline
from penstock.host.report.trace_events import to_trace_events
from penstock.host.timing.cycle_breakdown import accounts
from penstock.models.spec.number_format import grouped, percent

__all__ = ["profile"]


def _title(job: Job, total: LayerFigures | None = None) -> str:
    size = f"{job.arch.rows}x{job.arch.cols}"
    title = f"{job.network.name} on {job.device}, arch {job.arch.name} ({size})"
    if total is None or total.efficiency is None:
        return title
    share = percent(total.efficiency)
    return f"{title}: {grouped(total.cycles)} cycles an image, {share} of the array's peak"


def _draw(
    path: Path,
    job: Job,
    layers: Sequence[LayerFigures],
    total: LayerFigures,
    only: str | None,
    form: str,
) -> None:
    parts = accounts(job.program, [layer.counts for layer in layers], job.arch)
    chosen = [
        (layer, part) for layer, part in zip(layers, parts) if only is None or only == layer.name
    ]
    draw(
        path,
        [layer for layer, _ in chosen],
        [part for _, part in chosen],
        title=_title(job, total),
        arch=job.arch,
        form=form,
    )


def _hardware_layer(job: Job, layer: str | None) -> str | None:
    """Name of the hardware layer that does a layer of the network."""
    if layer is None:
        return None
    for info in job.program.layers:
        if layer in info.covers:
            return info.name
    known = ", ".join(name for info in job.program.layers for name in info.covers)
    raise InputError(f"layer must be one of {known} (those on the accelerator), not {layer!r}")


def profile(
    model: ModelOption = "alexnet",
    layer: Annotated[
        str | None, typer.Option("--layer", help="Show only the hardware layer with this one.")
    ] = None,
    device: DeviceOption = "rtl",
    arch: DeviceArchOption = None,
    overlay: OverlayOption = None,
    port: PortOption = None,
    json_file: JsonOption = None,
    weights: WeightsOption = None,
    batch: BatchOption = 1,
    fc: FcOption = "cpu",
    group: GroupOption = 1,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw roofline and cycles to this .png or .svg file."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace", help="Write a timeline of the engines to this JSON file, for Perfetto."
        ),
    ] = None,
    verify: VerifyOption = False,
) -> None:
    """Measure cycles, efficiency, stalls and memory traffic of each layer, on a photograph."""
    start = time.perf_counter()
    form = "" if plot is None else picture_format(plot)
    for option, wanted in (("--plot", plot), ("--trace", trace)):
        if wanted is not None and device == "functional":
            raise InputError(f"{option} needs --device rtl: {device} counts no cycles")
    if trace is not None and device != "rtl":
        raise InputError(f"--trace needs --device rtl: {device} cannot look into its engines")
    with ExitStack() as stack:
        files = [
            None if path is None else stack.enter_context(OutputFile(path))
            for path in (json_file, plot, trace)
        ]
        report, picture, record = files
        job = prepare(
            model=model,
            weights=weights,
            labels=None,
            arch_name=arch,
            program_file=None,
            device=device,
            overlay=overlay,
            port=port,
            top=1,
            check=False,
            batch=batch,
            fc=fc,
            group=group,
            record=trace is not None,
            verify=verify,
        )
        only = _hardware_layer(job, layer)
        name, codes = sample_input(job.network)
        results, layers, total = work(job, [codes] * batch, [name] * batch, only, report, start)
        if picture is not None:
            with task("drawing"):
                picture.commit(lambda path: _draw(path, job, layers, total, only, form))
        if record is not None:
            with task("writing the timeline"):
                made = timeline(job.program, results[0].log)
                record.commit(to_trace_events(made, title=_title(job)))
