"""`explore`: compare arches by the predictions of the compiler and the area model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from penstock.host.api.exploring import ARRAYS, CLOCK, Exploration, plan_sweep
from penstock.host.api.loading import load
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import Task, task
from penstock.host.explore.ranges import numbers, shapes, whole_numbers
from penstock.host.explore.space import VARIED
from penstock.host.inputs.catalog import MODELS
from penstock.host.report.json_report import as_file
from penstock.host.report.plot import plot_format
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import to_toml
from penstock.models.spec.devices import BLOCK_RAM

__all__ = ["explore"]

_ARRAYS = ",".join(f"{rows}x{cols}" for rows, cols in ARRAYS)
_CLOCK = f"{CLOCK:g}"
# Arches that did not fit, named in full.
_NAMED = 6


def _space(
    base: Arch, texts: dict[str, str | None]
) -> tuple[list[tuple[int, int]] | None, dict[str, list[int]]]:
    """The array sizes and the values of other parameters that the options ask for."""
    lists = {
        name: list(whole_numbers(f"--{name.replace('_', '-')}", text))
        for name in VARIED
        if (text := texts[name]) is not None
    }
    if texts["array"] is not None:
        return shapes("--array", texts["array"]), lists
    if texts["rows"] is None and texts["cols"] is None:
        return None, lists
    rows = whole_numbers("--rows", texts["rows"] or str(base.rows))
    cols = whole_numbers("--cols", texts["cols"] or str(base.cols))
    return [(r, c) for r in rows for c in cols], lists


def _report_progress(progress: Task, total: int) -> Any:
    """A function that reports the arches done, their share, and the time left."""
    begin = time.monotonic()

    def done(count: int) -> None:
        left = (time.monotonic() - begin) / count * (total - count)
        progress.update(
            count, f"{count} of {total} arches, {100 * count // total} %, about {left:.0f} s left"
        )

    return done


def _say_left_out(what: str, reasons: Sequence[tuple[str, str]]) -> None:
    """Print the arches that are not in the table, with the reasons."""
    if not reasons:
        return
    print(f"{what}: {len(reasons)}")
    for name, reason in reasons[:_NAMED]:
        print(f"  {name}: {reason}")
    if len(reasons) > _NAMED:
        print(f"  and {len(reasons) - _NAMED} more (all of them in --json)")


def _table(found: Exploration) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown = found.table()
    for name in shown.columns:
        justify: Any = "left" if name in shown.words else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for row in shown.rows:
        table.add_row(*row)
    return table


_PLOTS = ("png", "svg")
_LIST = "a list or range: 8,16 or 1024..8192 (doubled) or 8..16:4 (in steps)"


def explore(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help=f"{', '.join(MODELS)}, or files; default alexnet."),
    ] = None,
    array: Annotated[
        str | None, typer.Option("--array", help=f"ROWSxCOLS, several; default {_ARRAYS}.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", help=f"Instead of --array: {_LIST}.")
    ] = None,
    cols: Annotated[str | None, typer.Option("--cols", help="As --rows.")] = None,
    act_words: Annotated[
        str | None, typer.Option("--act-words", help=f"Activation buffer: {_LIST}.")
    ] = None,
    psum_words: Annotated[
        str | None, typer.Option("--psum-words", help="Partial-sum banks, as above.")
    ] = None,
    out_words: Annotated[
        str | None, typer.Option("--out-words", help="Output buffer, as above.")
    ] = None,
    wgt_words: Annotated[
        str | None, typer.Option("--wgt-words", help="Weight FIFO, as above.")
    ] = None,
    drain_lanes: Annotated[
        str | None, typer.Option("--drain-lanes", help="Requantise lanes, as above.")
    ] = None,
    lrn_lanes: Annotated[
        str | None, typer.Option("--lrn-lanes", help="LRN lanes, as above.")
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option("--clock", help=f"MHz, as above; default {_CLOCK}, or the board's own."),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", help="Gives what is not varied; default lab, or the board's own."),
    ] = None,
    board: Annotated[
        str | None, typer.Option("--board", help="Keep to what fits this board.")
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help=f"Count cells for {', '.join(BLOCK_RAM)}; default xc7."),
    ] = None,
    memory_rate: Annotated[
        float | None,
        typer.Option(
            "--memory-rate", help="MB/s the memory gives; default as many as the core takes."
        ),
    ] = None,
    memory_latency: Annotated[
        float | None,
        typer.Option(
            "--memory-latency", help="ns from address to data; default 40 cycles at any clock."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the points to this .png or .svg file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all points to this file.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write the fastest arch to this .toml file.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Arches at a time; default one a processor."),
    ] = None,
) -> None:
    """Compare arches: predicted speed and bytes of networks against DSPs, block RAMs and LUTs."""
    names = list(dict.fromkeys(models or ["alexnet"]))
    form = ""
    if plot is not None:
        with bad_input():
            form = plot_format(plot, _PLOTS)
    if array is not None and (rows is not None or cols is not None):
        raise InputError("--array or --rows and --cols, not both")
    if board is not None and family is not None:
        raise InputError("--board or --family, not both: a board has its own")
    if family is not None and family not in BLOCK_RAM:
        raise InputError(f"--family must be one of {', '.join(BLOCK_RAM)}, not {family!r}")
    if save is not None and save.suffix != ".toml":
        raise InputError(f"--save writes a .toml file, not {save.name!r}")
    with bad_input():
        base = None if arch is None else arch_for(arch)
        # Rows without columns, and the other way round, take the base's.
        preset = base or plan_sweep(names, board=board, family=family).base
        sizes, lists = _space(
            preset,
            {
                **{"array": array, "rows": rows, "cols": cols, "act_words": act_words},
                **{"psum_words": psum_words, "out_words": out_words, "wgt_words": wgt_words},
                **{"drain_lanes": drain_lanes, "lrn_lanes": lrn_lanes},
            },
        )
        planned = plan_sweep(
            names,
            arrays=sizes,
            vary=lists,
            base=base,
            clocks=None if clock is None else numbers("--clock", clock),
            board=board,
            family=family,
            memory_rate=memory_rate,
            memory_latency=memory_latency,
        )
    count = len(planned.fitting)
    with ExitStack() as stack:
        report, picture, saved = (
            None if path is None else stack.enter_context(OutputFile(path))
            for path in (json_file, plot, save)
        )
        with task("reading the networks") as progress, bad_input():
            for model in names:
                load(model, progress=progress.say)
        with task(f"{count} arches", total=count) as progress:
            found = planned.run(jobs=jobs, done=_report_progress(progress, count))
        print(
            f"{found.title}: {len(found.points)} points, predicted for one image; "
            "* is the Pareto front"
        )
        if found.points:
            show(_table(found))
            print(found.legend)
        _say_left_out("combinations the hardware cannot have", found.impossible)
        _say_left_out(f"arches that do not fit {found.where}", found.too_large)
        _say_left_out("arches too small for a network", found.refused)
        if report is not None:
            report.commit(as_file(found.to_json()))
        if not found.points:
            raise WorkError("no arch of this sweep can be built and run the networks")
        if picture is not None:
            with task("drawing"):
                picture.commit(lambda path: found.save_plot(path, form=form))
        if saved is not None:
            fastest = found.points[0].arch
            saved.commit(to_toml(fastest).encode())
            print(f"{save}: arch {fastest}")
