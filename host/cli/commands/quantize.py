"""`quantize`: a float ONNX file to a quantised one, with the quantisation error of each layer."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from penstock.host.api.quantised_file import error_table, quantise_file
from penstock.host.cli.support.exit_status import InputError, bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import Task, task
from penstock.host.inputs.folder import image_files
from penstock.host.inputs.preprocess import load_image
from penstock.host.report.json_report import as_file, quantise_json
from penstock.host.report.plot import plot_format
from penstock.models.quant.calibrate import METHODS
from penstock.models.spec.plain_table import PlainTable

__all__ = ["quantize"]


def _numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Numbers with commas between them."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} must be numbers such as 104,117,123, not {text!r}") from None


def _layer_methods(entries: list[str]) -> dict[str, str]:
    methods = {}
    for entry in entries:
        name, sign, method = entry.partition("=")
        if not sign:
            raise InputError(f"--layer-method must be NAME=METHOD, not {entry!r}")
        methods[name] = method
    return methods


def _table(rows: PlainTable) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows.columns:
        left = name in ("layer", *rows.words)
        table.add_column(name, justify="left" if left else "right")
    for row in rows.rows:
        table.add_row(*row)
    return table


def _readable(files: list[Path], progress: Task) -> list[Path]:
    """Return the files that are images; list the others on standard error.

    Raises
    ------
    ValueError
        If none, or less than half of them, are images.
    """
    good = []
    for number, path in enumerate(files, start=1):
        try:
            load_image(path)
            good.append(path)
        except ValueError as error:
            print(f"penstock: left out: {error}", file=sys.stderr)
        progress.update(number)
    if 2 * len(good) < len(files) or not good:
        raise ValueError(f"{len(good)} of {len(files)} files are images: too few to calibrate on")
    return good


class _Steps:
    """Converts progress messages of the libraries to steps of a progress bar."""

    def __init__(self, shown: Task) -> None:
        self._shown = shown
        self._done = 0

    def say(self, text: str) -> None:
        self._shown.update(self._done, text)
        self._done += 1


def quantize(
    model: Annotated[Path, typer.Argument(metavar="FLOAT.onnx", help="A float ONNX file.")],
    calibrate: Annotated[
        Path, typer.Option("--calibrate", metavar="DIR", help="A folder of typical images.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The quantised ONNX file.")],
    method: Annotated[
        str, typer.Option("--method", help=f"How steps are chosen: {', '.join(METHODS)}.")
    ] = "mse",
    percentile: Annotated[
        float, typer.Option("--percentile", help="What the method percentile keeps.")
    ] = 99.99,
    layer_method: Annotated[
        list[str] | None,
        typer.Option("--layer-method", metavar="NAME=METHOD", help="Of one layer; repeatable."),
    ] = None,
    images: Annotated[
        int, typer.Option("--images", min=1, help="At most so many, spread over the folder.")
    ] = 200,
    order: Annotated[
        str | None, typer.Option("--order", help="RGB, BGR or L: what the file expects.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Channel means of pixels: 104,117,123.")
    ] = None,
    std: Annotated[str | None, typer.Option("--std", help="Standard deviations of pixels.")] = None,
    resize: Annotated[
        int | None, typer.Option("--resize", min=1, help="Shorter side before the centre is cut.")
    ] = None,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify", help="Do not compare what is read and written with onnxruntime."
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the table as JSON here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the table: a png, svg or pdf file.")
    ] = None,
) -> None:
    """Quantise a float ONNX file on a folder of images."""
    if order is not None and order not in ("RGB", "BGR", "L"):
        raise InputError(f"--order must be RGB, BGR or L, not {order!r}")
    kind = ""
    if plot is not None:
        with bad_input():
            kind = plot_format(plot)
    means, stds = _numbers(mean, "--mean"), _numbers(std, "--std")
    methods = _layer_methods(layer_method or [])
    with ExitStack() as stack:
        with bad_input():
            files = image_files(calibrate, limit=images)
        target = stack.enter_context(OutputFile(output))
        tables = None if report is None else stack.enter_context(OutputFile(report))
        picture = None if plot is None else stack.enter_context(OutputFile(plot))
        with task("reading the images", total=len(files)) as progress, bad_input():
            files = _readable(files, progress)
        with task("calibrating", total=2 * len(files)) as progress, bad_input():
            made = quantise_file(
                model,
                files,
                method=method,
                percentile=percentile,
                layer_methods=methods,
                order=order,
                mean=means,
                std=stds,
                resize=resize,
                verify=not no_verify,
                progress=_Steps(progress).say,
            )
        if picture is not None:
            picture.commit(lambda path: made.plot().save(path, form=kind))
        if tables is not None:
            values = quantise_json(made.network.name, made.errors, made.images)
            tables.commit(as_file(values, indent=1))
        target.commit(made.to_bytes())
    rows, weakest = made.errors, made.weakest
    show(_table(error_table(rows)))
    print(
        f"{output}: {made.network.name} quantised on {made.images} images; "
        f"{rows[-1].name} at {rows[-1].sqnr:.1f} dB, the weakest layer {weakest.name} at "
        f"{weakest.sqnr:.1f} dB"
    )
    print(f"{output}: {made.check}")
