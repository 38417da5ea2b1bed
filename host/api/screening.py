"""`Screening`: a screening model at work, each of its two stages on a device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from penstock.host.apps.open_device import open_device
from penstock.host.apps.parallel_screen import ParallelScreen
from penstock.host.apps.two_stage import (
    SHIPPED,
    DeviceScores,
    Model,
    Scores,
    Screen,
    Stage,
    Verdict,
    golden_scores,
    load_model,
    with_thresholds,
)
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Device
from penstock.host.inputs.folder import image_files
from penstock.host.program.compile_error import CompileError
from penstock.host.report.layer_profile import LayerProfile, measured_profile
from penstock.host.runtime.parallel import cores
from penstock.host.runtime.session import Session
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GOLDEN", "OneDeviceError", "Screening", "ScreeningStage"]

# Where a stage can run besides on a device: in the golden model.
GOLDEN = "golden"


class OneDeviceError(ValueError):
    """More jobs were asked for than there can be devices."""


def _quiet(text: str) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass(frozen=True)
class ScreeningStage:
    """One stage at work.

    Parameters
    ----------
    network : Network
    where : str
        The device's name, or ``golden``.
    instead : str
        Why it is in the golden model although a device was asked for; empty: it is not.
    """

    network: Network
    where: str
    instead: str
    _scores: tuple[Scores, ...]
    _arch: Arch

    @property
    def _used(self) -> list[DeviceScores]:
        """What has looked at an image on a device."""
        return [
            each for each in self._scores if isinstance(each, DeviceScores) and each.log is not None
        ]

    @property
    def compared(self) -> int | None:
        """Feature maps found equal to the golden model's; None if nothing was compared."""
        checked = [each.compared for each in self._used if each.session.check]
        return sum(checked) if checked else None

    @property
    def layers(self) -> LayerProfile | None:
        """What an image took, the first device's last; None where nothing was run, or counts."""
        for each in self._used:
            log, session = each.log, each.session
            if log is not None and log.totals.get("cycles"):
                name = session.device.name
                return measured_profile(session.program, [log], self._arch, device=name)
        return None


class Screening:
    """A screening model at work; a context manager that closes its devices.

    A coarse network sees every image, and a fine one those that it flags.

    Parameters
    ----------
    model : path, optional
        A screening model's JSON file, or the model that `host.apps.two_stage.load_model` returns;
        default: the shipped one, which looks for QR codes.
    device : str
        `penstock.DEVICES`, or ``golden`` for the golden model in NumPy.
    fine_device : str or None
        Of the fine stage; None: the same, and the golden model if its network does not fit.
    arch : Arch or str
        As for `penstock.compile`.
    coarse_threshold, fine_threshold : float or None
        Least score (0 to 1) that says yes, instead of the model's own.
    check : bool
        Compare every feature map with the golden model.
    jobs : int or None
        Images looked at at a time, each on devices of its own; None: as many as this machine has
        processors, or as there can be devices.
    images : int or None
        How many there are to look at, if known: no more devices than these are opened.
    open_with : callable
        Opens a device, given its name and arch.
    working : callable
        Called with what takes a while; returns a context manager that surrounds it.

    Attributes
    ----------
    coarse, fine : ScreeningStage
    jobs : int
        Images that are looked at at a time.

    Raises
    ------
    ValueError
        If the model is not what it should be, or a threshold, a device's name or the number of
        jobs is wrong; `OneDeviceError` if there cannot be so many devices.
    CompileError
        If a network does not fit the arch.
    DeviceError
        If a device cannot be opened.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = SHIPPED,
        *,
        device: str = "rtl",
        fine_device: str | None = None,
        arch: Arch | str = "lab",
        coarse_threshold: float | None = None,
        fine_threshold: float | None = None,
        check: bool = False,
        jobs: int | None = 1,
        images: int | None = None,
        open_with: Callable[[str, Arch], Device] = open_device,
        working: Callable[[str], AbstractContextManager[object]] = _quiet,
    ) -> None:
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs must be a positive integer, not {jobs!r}")
        loaded = model if isinstance(model, Model) else load_model(Path(model))
        self.model = with_thresholds(loaded, coarse=coarse_threshold, fine=fine_threshold)
        self._arch = find_arch(arch) if isinstance(arch, str) else arch
        self._check = check
        self._open = open_with
        self._working = working
        self._asked = jobs is not None
        count = cores() if jobs is None else jobs
        self._count = max(count if images is None else min(count, images), 1)
        self._devices: dict[str, list[Device]] = {}
        self._stack = ExitStack()
        try:
            self.coarse = self._stage(self.model.coarse, device, instead=False)
            self.fine = self._stage(
                self.model.fine, fine_device or device, instead=fine_device is None
            )
        except BaseException:
            self._stack.close()
            raise
        screens = [
            Screen(self.model, *scores) for scores in zip(self.coarse._scores, self.fine._scores)
        ]
        self.jobs = len(screens)
        self._work = ParallelScreen(screens, self.devices)

    def _open_all(self, name: str) -> list[Device]:
        """Devices of one kind: as many as are wanted, or as there can be."""
        first = self._stack.enter_context(self._open(name, self._arch))
        devices = [first]
        while len(devices) < self._count:
            another = first.another()
            if another is None:
                if self._asked:
                    raise OneDeviceError(f"jobs {self._count}: there is only one device {name}")
                break
            another.verify = first.verify
            devices.append(self._stack.enter_context(another))
        return devices

    def _stage(self, stage: Stage, name: str, *, instead: bool) -> ScreeningStage:
        """Make ready what runs a stage, for each of the images at a time.

        If the arch is too small for it, that is the golden model `instead`, or an error.
        """
        network, reason = stage.network, ""
        if name != GOLDEN:
            try:
                with self._working(f"compiling {network.name}"):
                    program = compile_network(network, self._arch, trace=self._check)
            except CompileError as error:
                if not instead:
                    raise
                name, reason = GOLDEN, str(error)
        if name == GOLDEN:
            golden = (golden_scores(network),) * self._count
            return ScreeningStage(network, name, reason, golden, self._arch)
        if name not in self._devices:
            self._devices[name] = self._open_all(name)
        sessions = [
            Session(network, program, device, top=len(network.labels), check=self._check)
            for device in self._devices[name]
        ]
        scores = tuple(DeviceScores(self._stack.enter_context(made)) for made in sessions)
        return ScreeningStage(network, name, "", scores, self._arch)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that were opened; both stages share one if they are on the same kind."""
        return tuple(device for devices in self._devices.values() for device in devices)

    def run(
        self, images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
    ) -> Iterator[Verdict]:
        """Yield the verdict on each image, in order; one that cannot be read has that as verdict.

        Parameters
        ----------
        images : path, or paths
            A file, a folder (the images in it and below), or files.

        Raises
        ------
        ValueError
            If the folder holds no images.
        DeviceError
            If a device fails, or a check finds a difference.
        """
        if isinstance(images, str | os.PathLike):
            path = Path(images)
            paths = list(image_files(path)) if path.is_dir() else [path]
        else:
            paths = [Path(image) for image in images]
        yield from self._work.run(paths)

    def close(self) -> None:
        """Close the devices; more than once does nothing."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
