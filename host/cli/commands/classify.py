"""`classify`: run images through a network on a device; `profile` uses the same functions."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from penstock.host.api.compiled import Compiled, compile_for, load_program
from penstock.host.api.loading import load
from penstock.host.api.opened_device import Device
from penstock.host.api.run_result import Result, profile
from penstock.host.cli.support.check_cost import check_cost
from penstock.host.cli.support.device_options import (
    arch_for,
    check_device,
    default_arch,
    open_for,
    say_verified,
)
from penstock.host.cli.support.exit_status import EXIT_FAILED, bad_input
from penstock.host.cli.support.fitted import fill
from penstock.host.cli.support.image_arguments import images_of
from penstock.host.cli.support.layer_table import LAYER_NOTES, layer_table, show
from penstock.host.cli.support.option_groups import grouped
from penstock.host.cli.support.options import (
    DeviceOptions,
    JobsOption,
    JsonOption,
    NetworkOptions,
    RunOptions,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.cli.support.run_progress import run_task
from penstock.host.inputs.preprocess import load_codes
from penstock.host.report.json_report import as_file, run_json, run_seconds
from penstock.host.report.layer_profile import LayerFigures, LayerProfile
from penstock.models.spec.number_format import human

__all__ = ["classify", "prepare", "run_images", "say_run"]


def prepare(
    network: NetworkOptions,
    target: DeviceOptions,
    run: RunOptions,
    *,
    check: bool = False,
    program: Path | None = None,
) -> Compiled:
    """Read the network and compile it, or read its program.

    Raises
    ------
    InputError
        If a network, file or option does not exist or does not fit.
    """
    check_device(target.device)
    arch = arch_for(default_arch(target.device) if target.arch is None else target.arch)
    with task("reading the network") as progress, bad_input():
        read = load(
            network.model,
            weights=network.weights,
            labels=network.labels,
            verify=not network.no_verify,
            progress=progress.say,
        )
        if program is not None:
            return load_program(program, read, arch)
        progress.say("compiling")
        return compile_for(read, arch, batch=run.batch, keep="all" if check else None, fc=run.fc)


def run_images(
    compiled: Compiled,
    target: DeviceOptions,
    images: Sequence[NDArray[np.uint8]],
    names: Sequence[str],
    *,
    top: int = 1,
    check: bool = False,
    group: int = 1,
    jobs: int | None = 1,
    record: bool = False,
) -> tuple[list[Result], int]:
    """Run images and print each answer as it comes; return the results and the number of devices.

    Raises
    ------
    InputError
        If the device does not support the options.
    DeviceError
        If it cannot be opened, or a run fails.
    """
    if not compiled.network.trained:
        print(
            f"{compiled.network.name} has random weights: the labels below are meaningless "
            "(--weights takes trained ones)"
        )
    if compiled.network.check is not None:
        print(f"{compiled.network.name}: {compiled.network.check}")
    results: list[Result] = []
    back_end = open_for(
        target.device,
        compiled.arch,
        target.overlay,
        port=target.port,
        record=record,
        verify=target.verify,
    )
    with Device.around(back_end, jobs=jobs) as device:
        with bad_input():
            stream = device.stream(
                compiled, images, top=top, check=check, group=group, raw=True, names=names
            )
        runs = -(-len(images) // compiled.program.batch)
        shown = run_task("", device.back_ends, compiled.program, runs)
        with closing(stream), shown as progress:
            for index, name in enumerate(names):
                progress.say(f"image {index + 1} of {len(names)} on {target.device}")
                result = next(stream)
                results.append(result)
                _print_result(name, result, checked=check)
        say_verified(device.back_ends)
        return results, len(device.back_ends)


def _print_result(name: str, result: Result, *, checked: bool) -> None:
    print(f"\n{name}")
    for answer in result.top:
        print(f"  {answer.score * 100:5.1f} %  {answer.label}")
    if checked:
        answer_text = "no" if result.mismatches else "yes"
        print(f"  bit-exact with the golden model: {answer_text} ({result.compared} feature maps)")
    sys.stdout.flush()  # a pipe would otherwise buffer it until the end


def _print_figures(figures: LayerProfile, layers: Sequence[LayerFigures], *, images: int) -> None:
    where, total = figures.title, figures.total
    if not figures.counted:
        macs = human(total.macs)
        print(f"\n{where}: {macs} MACs an image; this device counts no cycles")
        return
    mean = f", mean of {images} images" if images > 1 else ""
    print(f"\n{where}{mean}")
    show(layer_table(layers, total))
    print(fill(LAYER_NOTES))


def _print_seconds(results: Sequence[Result], devices: int, cycles: int, wall: float) -> None:
    run = run_seconds(result.outcome for result in results)
    cpu = sum(result.outcome.cpu_seconds for result in results)
    rate = f"{cycles * len(results) / run / 1e6:.2f} M cycles/s" if cycles and run else ""
    if devices > 1:
        where = f"{devices} devices {run:.1f} s together" + (f" ({rate} each)" if rate else "")
    else:
        where = f"device {run:.1f} s" + (f" ({rate})" if rate else "")
    many = f", {60 * len(results) / wall:.1f} images a minute" if len(results) > 1 else ""
    print(f"{where}, CPU layers {cpu:.2f} s, in all {wall:.1f} s{many}")


def say_run(
    results: Sequence[Result],
    devices: int,
    *,
    shown: Iterable[str] | None = None,
    checked: bool = False,
    output: OutputFile | None = None,
    start: float,
) -> LayerProfile:
    """Print cycles and times of a run, and write the report.

    Parameters
    ----------
    results : sequence of Result
    devices : int
        Number of devices that ran.
    shown : iterable of str or None
        The hardware layers to show; None: all.
    checked : bool
        Whether feature maps were compared.
    output : OutputFile or None
        For the report.
    start : float
        When the command began.

    Raises
    ------
    typer.Exit
        If a map is not the golden model's; raised after all output.
    """
    figures = profile(results)
    names = None if shown is None else set(shown)
    layers = [layer for layer in figures if names is None or layer.name in names]
    _print_figures(figures, layers, images=len(results))
    if checked and figures.counted:
        print(fill(check_cost(results[0].compiled)))
    wall = time.perf_counter() - start
    _print_seconds(results, devices, figures.total.cycles, wall)
    if output is not None:
        report = run_json(
            figures,
            model=results[0].compiled.network.name,
            device=results[0].device,
            images=[(result.image, result.outcome) for result in results],
            checked=checked,
            layers=layers,
            wall_seconds=wall,
        )
        output.commit(as_file(report))
    wrong = [result for result in results if result.mismatches]
    for result in wrong:
        print(f"penstock: {result.image}: {result.mismatches[0]}", file=sys.stderr)
    if wrong:
        raise typer.Exit(EXIT_FAILED)
    return figures


@grouped
def classify(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Photographs, or folders of them.")
    ],
    network: NetworkOptions,
    target: DeviceOptions,
    run: RunOptions,
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show.")] = 5,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare every feature map with the golden model; the cycles it costs are shown.",
        ),
    ] = False,
    json_file: JsonOption = None,
    program: Annotated[
        Path | None,
        typer.Option("--program", help="Use this compiled program of the same network."),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Classify photographs; every convolution runs on the accelerator."""
    start = time.perf_counter()
    with ExitStack() as stack:
        output = None if json_file is None else stack.enter_context(OutputFile(json_file))
        images = images_of(images)
        compiled = prepare(network, target, run, check=check, program=program)
        with task("reading the images"), bad_input():
            codes = [load_codes(image, compiled.network.input) for image in images]
        results, devices = run_images(
            compiled, target, codes, images, top=top, check=check, group=run.group, jobs=jobs
        )
        say_run(results, devices, checked=check, output=output, start=start)
