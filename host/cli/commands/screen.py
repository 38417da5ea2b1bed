"""`screen`: find the images with the class that the screening model detects."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.apps.open_device import device_names
from penstock.host.apps.parallel_screen import ParallelScreen
from penstock.host.apps.two_stage import (
    CONFIRMED,
    FLAGGED,
    PASS,
    SHIPPED,
    UNREADABLE,
    DeviceScores,
    Model,
    Scores,
    Screen,
    Stage,
    Verdict,
    golden_scores,
    load_model,
)
from penstock.host.apps.verdict_log import ScreenLog
from penstock.host.cli.support.device_options import (
    arch_for,
    check_device,
    default_arch,
    open_for,
    say_verified,
)
from penstock.host.cli.support.exit_status import EXIT_FAILED, InputError, bad_input
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
from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.devices.device import Device
from penstock.host.inputs.folder import image_files
from penstock.host.report.layer_profile import measured_profile
from penstock.host.runtime.parallel import cores
from penstock.host.runtime.session import Session
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = ["screen"]

# A stage runs on a device, or in the golden model.
_GOLDEN = "golden"

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


def _with_thresholds(model: Model, coarse: float | None, fine: float | None) -> Model:
    """The model with the thresholds given by the user."""
    if coarse is not None:
        model = replace(model, coarse=replace(model.coarse, threshold=coarse))
    if fine is not None:
        model = replace(model, fine=replace(model.fine, threshold=fine))
    return model


class _Devices:
    """Opens what the stages run on, for each of some workers; both stages may share a device.

    Parameters
    ----------
    jobs : int or None
        Workers; None: as many as there are processors, or as there can be devices.
    images : int
        More workers than these are of no use.
    """

    def __init__(
        self,
        stack: ExitStack,
        arch: Arch,
        overlay: Path | None,
        *,
        jobs: int | None,
        images: int,
        check: bool = False,
        verify: bool = False,
    ) -> None:
        self._stack = stack
        self._arch = arch
        self._overlay = overlay
        self._check = check
        self._verify = verify
        self._asked = jobs is not None
        self._count = max(min(cores() if jobs is None else jobs, images), 1)
        self.opened: dict[str, list[Device]] = {}

    @property
    def all(self) -> list[Device]:
        """Every device."""
        return [device for devices in self.opened.values() for device in devices]

    def _open(self, name: str) -> list[Device]:
        """Devices of one kind: as many as are wanted, or as there can be."""
        first = self._stack.enter_context(
            open_for(name, self._arch, self._overlay, verify=self._verify)
        )
        devices = [first]
        while len(devices) < self._count:
            another = first.another()
            if another is None:
                if self._asked:
                    raise InputError(f"--jobs {self._count}: there is only one device {name}")
                break
            another.verify = self._verify
            devices.append(self._stack.enter_context(another))
        return devices

    def scores(self, stage: Stage, name: str, *, instead: bool) -> tuple[list[Scores], str]:
        """What runs a stage for each worker, and where that is.

        Parameters
        ----------
        stage : Stage
        name : str
            Of a device, or `_GOLDEN`.
        instead : bool
            Whether a network that does not fit the arch runs in the golden model.
        """
        golden: list[Scores] = [golden_scores(stage.network)] * self._count
        if name == _GOLDEN:
            return golden, _GOLDEN
        try:
            with task(f"compiling {stage.network.name}"):
                program = compile_network(stage.network, self._arch, trace=self._check)
        except CompileError as error:
            if not instead:
                raise InputError(str(error)) from None
            print(f"{stage.network.name} runs in the golden model: {error}", file=sys.stderr)
            return golden, _GOLDEN
        if name not in self.opened:
            self.opened[name] = self._open(name)
        sessions = [
            Session(
                stage.network,
                program,
                device,
                top=len(stage.network.labels),
                check=self._check,
            )
            for device in self.opened[name]
        ]
        return [DeviceScores(self._stack.enter_context(made)) for made in sessions], name


def _print_work(name: str, scores: Sequence[Scores], arch: Arch) -> None:
    """What the array had to do for an image, where it counts, and what was compared."""
    used = [each for each in scores if isinstance(each, DeviceScores) and each.log is not None]
    if not used:
        return
    session, log = used[0].session, used[0].log
    if log is not None and log.totals.get("cycles"):
        program, device = session.program, session.device.name
        total = measured_profile(program, [log], arch, device=device).total
        cycles = grouped(total.cycles)
        print(
            f"{name} stage, {session.network.name}: {cycles} cycles an image on arch {arch.name} "
            f"({arch.rows}x{arch.cols}), {percent(total.efficiency)} of the array's peak"
        )
    if session.check:
        compared = sum(each.compared for each in used)
        print(f"{name} stage bit-exact with the golden model: yes ({compared} feature maps)")


def _text(verdict: Verdict) -> str:
    if verdict.verdict == UNREADABLE:
        return f"{verdict.verdict:10}  {verdict.error}"
    shown = f"{percent(verdict.coarse):>7}"
    shown += "       - " if verdict.fine is None else f"  {percent(verdict.fine):>7}"
    return f"{verdict.verdict:10}  {shown}  {verdict.path}"


def _run(work: ParallelScreen, files: list[Path], log: ScreenLog | None) -> Counter[str]:
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
        str, typer.Option("--device", help=f"{', '.join(device_names())} or {_GOLDEN}.")
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
    coarse: list[Scores]
    fine: list[Scores]
    for name in (device, fine_device):
        if name not in (None, _GOLDEN):
            check_device(name)
    target = arch_for(default_arch(device) if arch is None else arch)
    with bad_input():
        files = _files(paths)
        loaded = _with_thresholds(load_model(model), coarse_threshold, fine_threshold)
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
            devices = _Devices(
                stack, target, overlay, jobs=jobs, images=len(files), check=check, verify=verify
            )
            coarse, first = devices.scores(loaded.coarse, device, instead=False)
            fine, second = devices.scores(
                loaded.fine, fine_device or device, instead=fine_device is None
            )
            begin = time.monotonic()
            screens = [Screen(loaded, *stages) for stages in zip(coarse, fine)]
            counts = _run(ParallelScreen(screens, devices.all), files, log)
            say_verified(devices.all)
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
                f"images/s; coarse stage on {first}, fine stage on {second}"
                + (f", {len(screens)} images at a time" if len(screens) > 1 else "")
            )
            _print_work("coarse", coarse, target)
            _print_work("fine", fine, target)
    if counts[UNREADABLE]:
        raise typer.Exit(EXIT_FAILED)
