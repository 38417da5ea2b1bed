"""`quantize`: a float ONNX file to a quantised one, and what that costs layer by layer."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.host.cli.support.error_plot import plot_errors
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input
from penstock.host.cli.support.fitted import Column, Rows, show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import Task, task
from penstock.host.inputs.folder import ImageFolder, image_files
from penstock.host.inputs.preprocess import load_pixels
from penstock.models.graph.graph import InputSpec, Network
from penstock.models.quant.calibrate import METHODS, Calibration
from penstock.models.quant.quantize import quantise
from penstock.models.quant.sqnr import LayerError, layer_errors
from penstock.models.spec.number_format import percent

__all__ = ["quantize"]

_PLOTS = ("png", "svg", "pdf")


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


def _table(found: list[LayerError]) -> Rows:
    columns = [Column("layer"), Column("kind", text=True)]
    columns += map(Column, ("step", "zero", "at the end", "SQNR"))
    rows = [
        (
            row.name,
            row.kind,
            f"{row.scale:g}",
            str(row.zero),
            percent(row.clipped, 2) if row.clipped else "",
            f"{row.sqnr:.1f} dB",
        )
        for row in found
    ]
    return Rows(columns, rows)


def _readable(files: list[Path], spec: InputSpec, progress: Task) -> list[Path]:
    """Return the files that are images; name the others on standard error.

    Raises
    ------
    ValueError
        If less than half of them are, or none.
    """
    good = []
    for number, path in enumerate(files, start=1):
        try:
            load_pixels(path, spec)
            good.append(path)
        except ValueError as error:
            print(f"penstock: left out: {error}", file=sys.stderr)
        progress.update(number)
    if 2 * len(good) < len(files) or not good:
        raise ValueError(f"{len(good)} of {len(files)} files are images: too few to calibrate on")
    return good


class _Steps:
    """Turns what the libraries say into steps of a progress bar."""

    def __init__(self, shown: Task) -> None:
        self._shown = shown
        self._done = 0

    def say(self, text: str) -> None:
        self._shown.update(self._done, text)
        self._done += 1


def _report(network: Network, rows: list[LayerError], images: int) -> bytes:
    return (
        json.dumps(
            {
                "model": network.name,
                "images": images,
                "layers": [
                    {**asdict(row), "sqnr": row.sqnr if abs(row.sqnr) < 1e9 else None}
                    for row in rows
                ],
            },
            indent=1,
        )
        + "\n"
    ).encode()


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
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the table as JSON here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the table: a png, svg or pdf file.")
    ] = None,
) -> None:
    """Quantise a float ONNX file on a folder of images."""
    try:
        from penstock.models.onnx_io.deploy_export import deploy
        from penstock.models.onnx_io.importer import load_float_ends
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: pip install onnx") from None
    if order is not None and order not in ("RGB", "BGR", "L"):
        raise InputError(f"--order must be RGB, BGR or L, not {order!r}")
    kind = "" if plot is None else plot.suffix.lower().lstrip(".")
    if plot is not None and kind not in _PLOTS:
        raise InputError(f"{plot}: a plot must be one of {', '.join(_PLOTS)}")
    means, stds = _numbers(mean, "--mean"), _numbers(std, "--std")
    methods = _layer_methods(layer_method or [])
    with ExitStack() as stack:
        with bad_input():
            calibration = Calibration(method=method, percentile=percentile, layers=methods)
            files = image_files(calibrate, limit=images)
        target = stack.enter_context(OutputFile(output))
        tables = None if report is None else stack.enter_context(OutputFile(report))
        picture = None if plot is None else stack.enter_context(OutputFile(plot))
        with task("reading the network") as progress, bad_input():
            network, ends = load_float_ends(model, order=order, mean=means, std=stds, resize=resize)
        with task("reading the images", total=len(files)) as progress, bad_input():
            files = _readable(files, network.input, progress)
        steps = len(network.layers) + 2 * len(files)
        with task("calibrating", total=steps) as progress, bad_input():
            shown = _Steps(progress)
            pixels = ImageFolder(files, network.input)
            quantised = quantise(network, pixels, calibration=calibration, progress=shown.say)
            made: Any = deploy(quantised, ends)
            rows = layer_errors(network, quantised, pixels, progress=shown.say)
        if picture is not None:
            title = f"{network.name}, {len(files)} images"
            picture.commit(lambda path: plot_errors(rows, title, path, kind=kind))
        if tables is not None:
            tables.commit(_report(network, rows, len(files)))
        target.commit(made.SerializeToString())
    show(_table(rows))
    weakest = min(rows, key=lambda row: row.sqnr)
    print(
        f"{output}: {network.name} quantised on {len(files)} images; "
        f"{rows[-1].name} at {rows[-1].sqnr:.1f} dB, the weakest layer {weakest.name} at "
        f"{weakest.sqnr:.1f} dB"
    )
