"""`profile`: the cycle breakdown of a run as a table, a report, a plot and a timeline."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.cli.commands.classify import prepare, run_images, say_run
from penstock.host.cli.support.exit_status import InputError, bad_input
from penstock.host.cli.support.option_groups import grouped
from penstock.host.cli.support.options import (
    DeviceOptions,
    JsonOption,
    NetworkOptions,
    RunOptions,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.inputs.catalog import sample_input
from penstock.host.report.plot import plot_format
from penstock.host.report.timeline import timeline
from penstock.host.report.trace_events import to_trace_events

__all__ = ["profile"]

_PLOTS = ("png", "svg")


@grouped
def profile(
    network: NetworkOptions,
    target: DeviceOptions,
    run: RunOptions,
    layer: Annotated[
        str | None, typer.Option("--layer", help="Show only the hardware layer with this one.")
    ] = None,
    json_file: JsonOption = None,
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
) -> None:
    """Measure cycles, efficiency, stalls and memory traffic of each layer, on a photograph."""
    start = time.perf_counter()
    form = ""
    if plot is not None:
        with bad_input():
            form = plot_format(plot, _PLOTS)
    for option, wanted in (("--plot", plot), ("--trace", trace)):
        if wanted is not None and target.device == "functional":
            raise InputError(f"{option} needs --device rtl: {target.device} counts no cycles")
    if trace is not None and target.device != "rtl":
        raise InputError(
            f"--trace needs --device rtl: {target.device} cannot look into its engines"
        )
    with ExitStack() as stack:
        files = [
            None if path is None else stack.enter_context(OutputFile(path))
            for path in (json_file, plot, trace)
        ]
        report, picture, record = files
        compiled = prepare(network, target, run)
        with bad_input():
            shown = None if layer is None else [compiled.hardware_layer(layer)]
        name, codes = sample_input(compiled.network)
        results, devices = run_images(
            compiled,
            target,
            [codes] * run.batch,
            [name] * run.batch,
            group=run.group,
            record=trace is not None,
        )
        figures = say_run(results, devices, shown=shown, output=report, start=start)
        if picture is not None:
            with task("drawing"):
                picture.commit(lambda path: figures.plot(shown).save(path, form=form))
        if record is not None:
            with task("writing the timeline"):
                made = timeline(compiled.program, results[0].log)
                record.commit(to_trace_events(made, title=figures.title))
