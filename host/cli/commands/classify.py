"""`classify`: images through a network on a device; `profile` shares what it is made of."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from penstock.host.cli.support.check_cost import check_cost
from penstock.host.cli.support.device_options import (
    arch_for,
    check_device,
    default_arch,
    open_several,
    say_verified,
)
from penstock.host.cli.support.exit_status import EXIT_FAILED, InputError, bad_input
from penstock.host.cli.support.fitted import fill, show
from penstock.host.cli.support.image_arguments import images_of
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.cli.support.run_progress import run_task
from penstock.host.cli.support.tables import (
    LAYER_NOTES,
    LayerFigures,
    figures,
    layer_table,
    report_json,
    run_seconds,
)
from penstock.host.compiler.compile import compile_network
from penstock.host.inputs.catalog import MODELS, load_network
from penstock.host.inputs.preprocess import load_codes
from penstock.host.program.program import Program
from penstock.host.runtime.parallel import ParallelSession
from penstock.host.runtime.session import Result, Session
from penstock.host.timing.cycle_breakdown import accounts
from penstock.models.graph.graph import Network
from penstock.models.networks.seeded import other_numbers
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import human

__all__ = [
    "ArchOption",
    "BatchOption",
    "DeviceOption",
    "FcOption",
    "Job",
    "JsonOption",
    "LabelsOption",
    "ModelOption",
    "VerifyOption",
    "WeightsOption",
    "classify",
    "on_array",
    "prepare",
    "work",
]

Codes = NDArray[np.uint8]

ModelOption = Annotated[
    str, typer.Option("--model", help=f"{', '.join(MODELS)}, or a saved network.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", help="rtl, functional, pynq-sim, or a board: pynq, ulx3s, tang-nano-20k."
    ),
]
ArchOption = Annotated[
    str, typer.Option("--arch", help="lab, pynq-z2, tiny or ROWSxCOLS such as 12x32.")
]
DeviceArchOption = Annotated[
    str | None,
    typer.Option(
        "--arch", help="lab, pynq-z2, ..., tiny or ROWSxCOLS such as 12x32; default the board's."
    ),
]
OverlayOption = Annotated[
    Path | None,
    typer.Option("--overlay", help="The .bit file for a board; its .hwh lies beside it."),
]
PortOption = Annotated[
    str | None, typer.Option("--port", help="The board's serial port, such as /dev/ttyUSB0.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Trained float weights: .npz or .onnx.")
]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", help="A text file with one class to a line.")
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Images of one run.")]
GroupOption = Annotated[
    int, typer.Option("--group", min=1, help="Images whose CPU layers run together.")
]
FcOption = Annotated[
    str, typer.Option("--fc", help="Where fully connected layers with ReLU run: cpu or fpga.")
]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify", help="Read program, weights and inputs back from the device and compare."
    ),
]


@dataclass(frozen=True)
class Job:
    """Everything that is known before a device is opened."""

    network: Network
    program: Program
    arch: Arch
    device: str
    overlay: Path | None
    port: str | None
    top: int
    check: bool
    group: int
    record: bool
    verify: bool


def on_array(fc: str) -> bool:
    """Whether fully connected layers go to the array, from the option `--fc`.

    Raises
    ------
    InputError
        If it is neither cpu nor fpga.
    """
    if fc not in ("cpu", "fpga"):
        raise InputError(f"--fc must be cpu or fpga, not {fc!r}")
    return fc == "fpga"


def prepare(
    *,
    model: str,
    weights: Path | None,
    labels: Path | None,
    arch_name: str | None,
    program_file: Path | None,
    device: str,
    overlay: Path | None,
    port: str | None,
    top: int,
    check: bool,
    batch: int,
    fc: str,
    group: int,
    record: bool = False,
    verify: bool = False,
) -> Job:
    """Read the network and compile it.

    Raises
    ------
    InputError
        If something that was asked for does not exist or does not fit.
    """
    check_device(device)
    arch = arch_for(default_arch(device) if arch_name is None else arch_name)
    array = on_array(fc)
    with task("reading the network") as progress, bad_input():
        program = None if program_file is None else Program.load(program_file)
        if program is not None and program.arch_fingerprint != arch.fingerprint:
            raise InputError(
                f"{program_file}: the program is for arch {program.arch_name} "
                f"({program.arch_fingerprint:016x}), the device is {arch}"
            )
        network = load_network(
            model, weights_file=weights, labels_file=labels, progress=progress.say
        )
        if program is None:
            progress.say("compiling")
            program = compile_network(network, arch, trace=check, batch=batch, fc=array)
    return Job(network, program, arch, device, overlay, port, top, check, group, record, verify)


def _run(
    job: Job, images: Sequence[Codes], names: Sequence[str], jobs: int | None
) -> tuple[list[Result], int]:
    """Run the images and print each answer as it comes; return the results and the devices."""
    results: list[Result] = []
    groups = -(-len(images) // (job.program.batch * job.group))
    runs = -(-len(images) // job.program.batch)
    with ExitStack() as stack:
        devices = open_several(
            stack,
            job.device,
            job.arch,
            job.overlay,
            port=job.port,
            jobs=jobs,
            runs=groups,
            record=job.record,
            verify=job.verify,
        )
        sessions = []
        for device in devices:
            with bad_input():
                made = Session(
                    job.network,
                    job.program,
                    device,
                    top=job.top,
                    check=job.check,
                    group=job.group,
                )
            sessions.append(stack.enter_context(made))
        stream = stack.enter_context(closing(ParallelSession(sessions).run(images)))
        with run_task("", devices, job.program, runs) as progress:
            for index, name in enumerate(names):
                progress.say(f"image {index + 1} of {len(names)} on {job.device}")
                result = next(stream)
                results.append(result)
                _print_result(name, result, checked=job.check)
        say_verified(devices)
    return results, len(devices)


def _print_result(name: str, result: Result, *, checked: bool) -> None:
    print(f"\n{name}")
    for answer in result.top:
        print(f"  {answer.score * 100:5.1f} %  {answer.label}")
    if checked:
        answer_text = "no" if result.mismatches else "yes"
        print(f"  bit-exact with the golden model: {answer_text} ({result.compared} feature maps)")
    sys.stdout.flush()  # a pipe would else hold it back to the end of the last image


def _print_figures(
    job: Job, layers: Sequence[LayerFigures], total: LayerFigures, images: int, only: str | None
) -> None:
    where = f"{job.network.name} on {job.device}, arch {job.arch.name}"
    size = f"{job.arch.rows}x{job.arch.cols}"
    if not total.cycles:
        macs = human(total.macs)
        print(f"\n{where} ({size}): {macs} MACs an image; this device counts no cycles")
        return
    mean = f", mean of {images} images" if images > 1 else ""
    print(f"\n{where} ({size}){mean}")
    parts = accounts(job.program, [layer.counts for layer in layers], job.arch)
    whole = {name: sum(part[name] for part in parts) for name in parts[0]}
    kept = [at for at, layer in enumerate(layers) if only in (None, layer.name)]
    shown = [layers[at] for at in kept]
    show(layer_table(shown, total, [*(parts[at] for at in kept), whole]))
    print(fill(LAYER_NOTES))
    if job.check:
        print(fill(check_cost(job.network, job.program, job.arch)))


def _print_seconds(results: Sequence[Result], devices: int, cycles: int, wall: float) -> None:
    run = run_seconds(results)
    cpu = sum(result.cpu_seconds for result in results)
    rate = f"{cycles * len(results) / run / 1e6:.2f} M cycles/s" if cycles and run else ""
    if devices > 1:
        where = f"{devices} devices {run:.1f} s together" + (f" ({rate} each)" if rate else "")
    else:
        where = f"device {run:.1f} s" + (f" ({rate})" if rate else "")
    many = f", {60 * len(results) / wall:.1f} images a minute" if len(results) > 1 else ""
    print(f"{where}, CPU layers {cpu:.2f} s, in all {wall:.1f} s{many}")


def work(
    job: Job,
    images: Sequence[Codes],
    names: Sequence[str],
    only: str | None,
    output: OutputFile | None,
    start: float,
    jobs: int | None = 1,
) -> tuple[list[Result], list[LayerFigures], LayerFigures]:
    """Run the images, print what came out, write the report.

    Parameters
    ----------
    only : str or None
        The one hardware layer to show.
    output : OutputFile or None
        For the report.
    start : float
        When the command began.
    jobs : int or None
        As in `host.cli.support.device_options.open_several`.

    Returns
    -------
    (list of Result, list of LayerFigures, LayerFigures)
        What the run gave, its layers' figures, and those of the whole.
    """
    if not job.network.trained:
        print(
            f"{job.network.name} has random weights: the labels below are meaningless "
            "(--weights takes trained ones)"
        )
        if other_numbers():
            print(fill(other_numbers()))
    results, devices = _run(job, images, names, jobs)
    layers, total = figures(
        job.program.layers,
        [result.log for result in results],
        job.arch,
        batch=job.program.batch,
    )
    shown = [layer for layer in layers if only in (None, layer.name)]
    _print_figures(job, layers, total, len(results), only)
    wall = time.perf_counter() - start
    _print_seconds(results, devices, total.cycles, wall)
    if output is not None:
        report = report_json(
            model=job.network.name,
            arch=job.arch,
            device=job.device,
            paths=names,
            results=results,
            checked=job.check,
            layers=shown,
            total=total,
            wall_seconds=wall,
        )
        output.commit(json.dumps(report, indent=2).encode() + b"\n")
    wrong = [(name, result) for name, result in zip(names, results) if result.mismatches]
    for name, result in wrong:
        print(f"penstock: {name}: {result.mismatches[0]}", file=sys.stderr)
    if wrong:
        raise typer.Exit(EXIT_FAILED)
    return results, layers, total


def classify(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Photographs, or folders.")
    ],
    model: ModelOption = "alexnet",
    device: DeviceOption = "rtl",
    arch: DeviceArchOption = None,
    overlay: OverlayOption = None,
    port: PortOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show.")] = 5,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every feature map with the golden model.")
    ] = False,
    json_file: JsonOption = None,
    weights: WeightsOption = None,
    labels: LabelsOption = None,
    program: Annotated[
        Path | None,
        typer.Option("--program", help="Use this compiled program of the same network."),
    ] = None,
    batch: BatchOption = 1,
    fc: FcOption = "cpu",
    group: GroupOption = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            help="Simulated devices at a time; default: as many as there are processors.",
        ),
    ] = None,
    verify: VerifyOption = False,
) -> None:
    """Say what photographs show; every convolution runs on the accelerator."""
    start = time.perf_counter()
    images = images_of(images)
    with ExitStack() as stack:
        output = None if json_file is None else stack.enter_context(OutputFile(json_file))
        job = prepare(
            model=model,
            weights=weights,
            labels=labels,
            arch_name=arch,
            program_file=program,
            device=device,
            overlay=overlay,
            port=port,
            top=top,
            check=check,
            batch=batch,
            fc=fc,
            group=group,
            verify=verify,
        )
        with task("reading the images"), bad_input():
            codes = [load_codes(image, job.network.input) for image in images]
        work(job, codes, images, None, output, start, jobs)
