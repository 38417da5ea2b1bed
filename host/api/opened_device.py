"""`Device`: opens an accelerator by name and runs images through networks on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penstock.host.api.compiled import Compiled
from penstock.host.api.run_result import Result
from penstock.host.apps.open_device import open_device
from penstock.host.devices.device import Device as BackEnd
from penstock.host.devices.device import DeviceError, DeviceFull
from penstock.host.inputs.preprocess import Picture, picture_codes
from penstock.host.runtime.parallel import ParallelSession, cores
from penstock.host.runtime.session import Session
from penstock.host.waves.wave_layout import write_layout
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Device", "MismatchError"]

# Maps returned by a run: those that the CPU layers need, all, or those of some layers.
Keep = str | Sequence[str] | None

# Options that are paths.
_PATHS = ("waves", "bitstream", "library")


class MismatchError(DeviceError):
    """A feature map is not the golden model's; the message has layer, position and both values."""


def _say(text: str) -> None:
    print(f"penstock: {text} ...", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Wanted:
    """Options of a run."""

    top: int
    check: bool
    keep: tuple[str, ...] | None
    group: int


class Device:
    """An open accelerator; a context manager that closes it.

    Parameters
    ----------
    name : str
        One of `penstock.DEVICES`: ``"rtl"`` is the simulated core, ``"functional"`` NumPy, the
        others are boards.
    arch : Arch or str
        Arch, as for `penstock.compile`.
    jobs : int or None
        Most devices of this kind that `stream` runs in parallel; None: the number of processors.
        More than one only if simulated.
    verify : bool
        Whether uploads are read back and compared.
    progress : callable
        Called with a description of each step while a simulator is built, which takes minutes the
        first time; by default a line on standard error.
    options
        Those of the back end, among them: ``waves`` (`rtl`: an FST file of everything the core
        does; a layout for GTKWave comes beside it), ``record`` (`rtl`: for timelines),
        ``memory_bytes`` (`rtl`, `functional`), ``bitstream`` (`pynq`), ``port`` (boards on a
        serial port).

    Raises
    ------
    ValueError
        If there is no such device, or an option is out of range.
    DeviceError
        If it cannot be opened, or the simulator not be built.
    """

    def __init__(
        self,
        name: str,
        arch: Arch | str = "lab",
        *,
        jobs: int | None = 1,
        verify: bool = False,
        progress: Callable[[str], None] = _say,
        **options: object,
    ) -> None:
        target = find_arch(arch) if isinstance(arch, str) else arch
        for key in _PATHS:
            value = options.get(key)
            if isinstance(value, str | os.PathLike):
                options[key] = Path(value)
        back_end = open_device(name, target, progress=progress, **options)
        back_end.verify = verify
        self._take(back_end, jobs)
        waves = options.get("waves")
        self._waves = waves if isinstance(waves, Path) else None

    @classmethod
    def around(cls, back_end: BackEnd, *, jobs: int | None = 1) -> Self:
        """Return a device for an open back end, which it closes at the end."""
        device = cls.__new__(cls)
        device._take(back_end, jobs)
        return device

    def _take(self, back_end: BackEnd, jobs: int | None) -> None:
        if jobs is not None and jobs < 1:
            back_end.close()
            raise ValueError(f"jobs must be a positive integer, not {jobs!r}")
        self._jobs = jobs
        self._devices = [back_end]
        # For each device, the loaded programs by identity.
        self._loaded: list[dict[int, Session]] = [{}]
        self._running = False
        self._waves = None

    @property
    def back_end(self) -> BackEnd:
        """The device itself: memory, registers, single programs."""
        return self._devices[0]

    @property
    def back_ends(self) -> tuple[BackEnd, ...]:
        """All devices that `stream` has opened so far, the first one included."""
        return tuple(self._devices)

    @property
    def name(self) -> str:
        """The device's name."""
        return self.back_end.name

    @property
    def arch(self) -> Arch:
        """The device's arch."""
        return self.back_end.arch

    def run(
        self,
        compiled: Compiled,
        image: Picture,
        *,
        top: int = 5,
        keep: Keep = None,
        check: bool = False,
        raw: bool = False,
    ) -> Result:
        """Run one image.

        Parameters
        ----------
        compiled : Compiled
            Loaded on first use, and kept in device memory.
        image : path or uint8 array
            An image file, or a picture (height, width, 3) or (height, width), RGB or grey, of any
            size: scaled and cropped for the network.
        top : int
            Classes to report.
        keep : str, sequence of str or None
            Layers whose maps to return: ``"all"``, names, or None: only what the CPU layers read.
            If the program does not store a map, a variant that stores every map is run, which costs
            cycles: `result.layers` has those of the variant.
        check : bool
            Compare every feature map with the golden model, bit for bit; this also stores all maps.
        raw : bool
            Whether `image` is an array of input codes, uint8 of the shape of `network.input`.

        Raises
        ------
        ValueError
            If the image cannot be read or does not fit, or there is no such layer.
        DeviceError
            If the program is for another arch, or the run fails.
        MismatchError
            If a check finds a difference.
        """
        stream = self.stream(compiled, [image], top=top, keep=keep, check=check, raw=raw)
        with closing(stream):
            result = next(stream)
        if result.mismatches:
            raise MismatchError(f"{result.image}: {result.mismatches[0]}")
        return result

    def stream(
        self,
        compiled: Compiled,
        images: Iterable[Picture | None],
        *,
        top: int = 5,
        keep: Keep = None,
        check: bool = False,
        raw: bool = False,
        group: int = 1,
        names: Iterable[str] | None = None,
    ) -> Generator[Result, None, None]:
        """Run images in sequence and yield their results in order, as they are completed.

        Images are read ahead while the device works.  One stream at a time: the next may begin when
        this one has ended or was closed.

        Parameters
        ----------
        compiled, top, keep, check, raw
            As for `run`, except that a difference found by a check is in `Result.mismatches` and
            does not end the stream.
        images : iterable of paths or uint8 arrays, or None
            None, on one device, flushes all results so far, before a pause.
        group : int
            Images whose CPU layers run together.
        names : iterable of str, optional
            Names of the images in results; default their paths, or numbers.

        Raises
        ------
        ValueError, DeviceError
            As `run`; the results of earlier images are yielded first.
        """
        wanted = _Wanted(top, check, _names(compiled, keep), group)
        variant = compiled
        missing = set(wanted.keep or ()) & set(compiled.layers_on_array)
        if check or missing - set(compiled.program.outputs):
            variant = compiled.traced
        lacking = sorted(missing - set(variant.program.outputs))
        if lacking:
            raise ValueError(f"the program does not store the map of {', '.join(lacking)}")
        if self._running:
            raise DeviceError("another stream of this device is not at its end")
        sessions = self._sessions(variant, wanted, images)
        return self._stream(variant, sessions, images, wanted, raw, names)

    def _stream(
        self,
        compiled: Compiled,
        sessions: Sequence[Session],
        images: Iterable[Picture | None],
        wanted: _Wanted,
        raw: bool,
        names: Iterable[str] | None,
    ) -> Generator[Result, None, None]:
        spec = compiled.network.input
        called: list[str] = []
        given = None if names is None else iter(names)

        def codes() -> Iterator[NDArray[np.uint8] | None]:
            for image in images:
                if image is None:
                    yield None
                    continue
                index = len(called)
                values = np.asarray(image) if raw else picture_codes(image, spec)
                if values.shape != spec.shape or values.dtype != np.uint8:
                    raise ValueError(
                        f"input codes must be uint8 {spec.shape}, not {values.dtype} {values.shape}"
                    )
                default = str(image) if isinstance(image, str | os.PathLike) else f"image {index}"
                called.append(default if given is None else next(given))
                yield values

        self._running = True
        try:
            with closing(ParallelSession(sessions).run(codes())) as stream:
                for result in stream:
                    if wanted.keep is not None:
                        maps = {name: result.maps[name] for name in wanted.keep}
                        result = replace(result, maps=maps)
                    yield Result(called[result.index], compiled, self.name, result)
        finally:
            self._running = False

    def _sessions(
        self, compiled: Compiled, wanted: _Wanted, images: Iterable[Picture | None]
    ) -> list[Session]:
        """Sessions on the devices to use, loaded on first use."""
        count = cores() if self._jobs is None else self._jobs
        if isinstance(images, Sequence | np.ndarray):
            count = min(count, -(-len(images) // (compiled.program.batch * wanted.group)))
        while len(self._devices) < count:
            device = self.back_end.another()
            if device is None:
                if self._jobs is None:
                    break
                raise ValueError(f"jobs {self._jobs}: there is only one device {self.name}")
            device.verify = self.back_end.verify
            self._devices.append(device)
            self._loaded.append({})
        sessions = []
        for device, loaded in zip(self._devices[: max(count, 1)], self._loaded):
            session = loaded.get(id(compiled.program))
            if session is None:
                session = _load(compiled, device, loaded)
                loaded[id(compiled.program)] = session
            session.ask(
                top=wanted.top,
                check=wanted.check,
                keep=wanted.keep is not None,
                group=wanted.group,
            )
            sessions.append(session)
        return sessions

    def unload(self) -> None:
        """Free the device memory of all programs; they are loaded again when needed."""
        for loaded in self._loaded:
            while loaded:
                loaded.popitem()[1].close()

    def close(self) -> None:
        """Close the device; further calls have no effect."""
        self.unload()
        for device in self._devices:
            device.close()
        waves, self._waves = self._waves, None
        if waves is not None:
            write_layout(waves)

    def __repr__(self) -> str:
        names = ", ".join(session.network.name for session in self._loaded[0].values())
        return f"<Device {self.name}, arch {self.arch.name}: {names or 'nothing'} loaded>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _names(compiled: Compiled, keep: Keep) -> tuple[str, ...] | None:
    """Layers whose maps to return; None: those that the CPU layers read."""
    if keep is None:
        return None
    known = [layer.name for layer in compiled.network.layers]
    if keep == "all":
        return tuple(known)
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in names:
        if name not in known:
            raise ValueError(f"keep must be all or one of {', '.join(known)}, not {name!r}")
    return names


def _load(compiled: Compiled, device: BackEnd, loaded: dict[int, Session]) -> Session:
    """Load a program; if memory is full, free the other programs first."""
    try:
        return Session(compiled.network, compiled.program, device)
    except DeviceFull:
        if not loaded:
            raise
    while loaded:
        loaded.popitem()[1].close()
    return Session(compiled.network, compiled.program, device)
