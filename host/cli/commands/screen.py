"""`screen`: find the images with the class that the screening model detects."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.api.screening import GOLDEN, OneDeviceError, Screening, ScreeningStage
from penstock.host.apps.open_device import device_names
from penstock.host.apps.two_stage import (
    CONFIRMED,
    FLAGGED,
    PASS,
    SHIPPED,
    UNREADABLE,
    Model,
    Verdict,
    load_model,
    with_thresholds,
)
from penstock.host.apps.verdict_log import ScreenLog
from penstock.host.cli.support.device_options import (
    arch_for,
    check_device,
    default_arch,
    open_for,
    say_verified,
)
from penstock.host.cli.support.exit_status import EXIT_FAILED, InputError, bad_input, one_line
from penstock.host.cli.support.fitted import fill
from penstock.host.cli.support.image_arguments import tell_unread
from penstock.host.cli.support.options import (
    DeviceArchOption,
    JobsOption,
    OverlayOption,
    VerifyOption,
)
from penstock.host.cli.support.output_file import report_only
from penstock.host.cli.support.progress import task
from penstock.host.inputs.folder import image_files
from penstock.host.program.compile_error import CompileError
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = ["screen"]

# Simulating every cycle is slow: from so many images on it is worth saying what is not.
_MANY = 8
_SLOW = (
    "penstock: rtl simulates every clock cycle; --device functional and golden give the same "
    "verdicts sooner, golden soonest (docs/using.md has times)"
)


def _files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the images in the given folders, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(image_files(path)))
            tell_unread(path)
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(found)


def _print_work(name: str, stage: ScreeningStage, arch: Arch) -> None:
    """What the array had to do for an image, where it counts, and what was compared."""
    if stage.layers is not None:
        total = stage.layers.total
        cycles = grouped(total.cycles)
        print(
            f"{name} stage, {stage.network.name}: {cycles} cycles an image on arch {arch.name} "
            f"({arch.rows}x{arch.cols}), {percent(total.efficiency)} of the array's peak"
        )
    if stage.compared is not None:
        print(f"{name} stage bit-exact with the golden model: yes ({stage.compared} feature maps)")


def _text(verdict: Verdict) -> str:
    if verdict.verdict == UNREADABLE:
        return f"{verdict.verdict:10}  {verdict.error}"
    shown = f"{percent(verdict.coarse):>7}"
    shown += "       - " if verdict.fine is None else f"  {percent(verdict.fine):>7}"
    return f"{verdict.verdict:10}  {shown}  {verdict.path}"


def _run(work: Screening, files: list[Path], log: ScreenLog | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    begin = time.monotonic()
    with task(f"screening {len(files)} images", total=len(files)) as progress:
        for number, verdict in enumerate(work.run(files), start=1):
            counts[verdict.verdict] += 1
            if log is not None:
                log.add(verdict)
            print(_text(verdict), flush=True)
            rate = number / max(time.monotonic() - begin, 1e-9)
            progress.update(number, f"image {number} of {len(files)}, {rate:.1f} images/s")
    return counts


def _open(
    model: Model,
    device: str,
    fine_device: str | None,
    arch: Arch,
    overlay: Path | None,
    *,
    jobs: int | None,
    images: int,
    check: bool,
    verify: bool,
) -> Screening:
    try:
        work = Screening(
            model,
            device=device,
            fine_device=fine_device,
            arch=arch,
            check=check,
            jobs=jobs,
            images=images,
            open_with=lambda name, arch: open_for(name, arch, overlay, verify=verify),
            working=task,
        )
    except CompileError as error:
        raise InputError(one_line(error)) from None
    except OneDeviceError as error:
        raise InputError(f"--{error}") from None
    if work.fine.instead:
        name = work.fine.network.name
        print(f"{name} runs in the golden model: {work.fine.instead}", file=sys.stderr)
    return work


def screen(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images or folders.")],
    model: Annotated[
        Path,
        typer.Option(
            "--model",
            help="A screening model: see docs/screening.md.",
            show_default="the shipped one, for QR codes",
        ),
    ] = SHIPPED,
    device: Annotated[
        str, typer.Option("--device", help=f"{', '.join(device_names())} or {GOLDEN}.")
    ] = "rtl",
    fine_device: Annotated[
        str | None, typer.Option("--fine-device", help="Of the fine stage, if another.")
    ] = None,
    arch: DeviceArchOption = None,
    overlay: OverlayOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every feature map with the golden model.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write JSON lines here; a file that is there is continued; - is standard output.",
        ),
    ] = None,
    coarse_threshold: Annotated[
        float | None, typer.Option("--coarse-threshold", min=0, max=1, help="Instead of its own.")
    ] = None,
    fine_threshold: Annotated[
        float | None, typer.Option("--fine-threshold", min=0, max=1, help="Instead of its own.")
    ] = None,
    jobs: JobsOption = None,
    verify: VerifyOption = False,
) -> None:
    """Find the images that show a QR code: a coarse network flags them, a fine one confirms."""
    for name in (device, fine_device):
        if name not in (None, GOLDEN):
            check_device(name)
    target = arch_for(default_arch(device) if arch is None else arch)
    with bad_input():
        files = _files(paths)
        loaded = with_thresholds(load_model(model), coarse=coarse_threshold, fine=fine_threshold)
    with ExitStack() as stack:
        log = None
        if json_file is not None:
            stack.enter_context(report_only(json_file))
            if json_file == Path("-"):
                json_file = Path("/dev/stdout")
            with bad_input():
                log = stack.enter_context(ScreenLog(json_file, loaded))
        done: Counter[str] = Counter()
        if log is not None:
            done.update(log.done[str(path)] for path in files if str(path) in log.done)
            files = [path for path in files if str(path) not in log.done]
        counts: Counter[str] = Counter()
        begin = time.monotonic()
        if files:
            if device == "rtl" and len(files) >= _MANY:
                print(fill(_SLOW), file=sys.stderr)
            work = stack.enter_context(
                _open(
                    loaded,
                    device,
                    fine_device,
                    target,
                    overlay,
                    jobs=jobs,
                    images=len(files),
                    check=check,
                    verify=verify,
                )
            )
            begin = time.monotonic()
            counts = _run(work, files, log)
            say_verified(work.devices)
        seconds = time.monotonic() - begin
        total = counts + done
        print(
            f"{sum(total.values())} images: {total[CONFIRMED]} confirmed, {total[FLAGGED]} flagged "
            f"by the coarse stage only, {total[PASS]} pass, {total[UNREADABLE]} unreadable"
        )
        if done:
            print(f"{sum(done.values())} of them were in {json_file} already")
        if files:
            print(
                f"{len(files)} images in {seconds:.1f} s, {len(files) / max(seconds, 1e-9):.1f} "
                f"images/s; coarse stage on {work.coarse.where}, fine stage on {work.fine.where}"
                + (f", {work.jobs} images at a time" if work.jobs > 1 else "")
            )
            _print_work("coarse", work.coarse, target)
            _print_work("fine", work.fine, target)
    if counts[UNREADABLE]:
        raise typer.Exit(EXIT_FAILED)
