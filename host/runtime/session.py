"""Running images: the accelerator's part on a device and the rest on the CPU, in parallel.

::

    device   images 0, 1 | images 2, 3 | images 4, 5 | ...
    CPU                    layers 0, 1 | layers 2, 3 | ...   (and the golden check, if enabled)

One thread drives the device, another runs the CPU layers of earlier images, several images at a
time, because widening the weights costs more than the products.  Devices release the GIL while they
work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import Buffer, Device, DeviceError, RunLog
from penstock.host.program.program import Program
from penstock.host.runtime.cpu_layers import CpuLayers, top_classes
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import INPUT, Network

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Answer", "Mismatch", "Result", "Session", "compare_maps"]

Codes = NDArray[np.uint8]

# A run times out after a minute plus the time of the slowest simulation, at this rate (cycles/s).
_BASE_TIMEOUT = 60.0
_SLOWEST = 20_000


@dataclass(frozen=True)
class Answer:
    """One class of the top-k: its number, name and probability."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Mismatch:
    """A feature map that differs from the golden one.

    Parameters
    ----------
    layer : str
    count : int
        Values that differ.
    position : (int, int, int)
        Row, column and channel of the first difference.
    got, expected : int
        The device's value there, and the golden one.
    """

    layer: str
    count: int
    position: tuple[int, int, int]
    got: int
    expected: int

    def __str__(self) -> str:
        y, x, channel = self.position
        return (
            f"layer {self.layer}: {self.count} values differ, the first at row {y}, column {x}, "
            f"channel {channel}: {self.got} instead of {self.expected}"
        )


@dataclass(frozen=True)
class Result:
    """The result of one image.

    Parameters
    ----------
    index : int
        Position of the image in the stream.
    top : tuple of Answer
        Best first; empty if the network has no classifier.
    log : RunLog
        The device's counters for the image's whole batch.
    cpu_seconds : float
        Time spent in the CPU layers.
    compared : int
        Feature maps compared with the golden model; 0 without a check.
    mismatches : tuple of Mismatch
        In network order.
    maps : dict
        Feature maps read from the device, uint8 (height, width, channels), by layer name: those
        the CPU layers need; with a check or on request all that are stored.  On request also what
        the CPU layers gave: uint8, or the int32 logits of a last layer without ReLU, (1, 1, out).
    """

    index: int
    top: tuple[Answer, ...]
    log: RunLog
    cpu_seconds: float
    compared: int
    mismatches: tuple[Mismatch, ...]
    maps: dict[str, NDArray[Any]]

    @property
    def mismatch_count(self) -> int:
        """Number of values that differ, in all layers."""
        return sum(mismatch.count for mismatch in self.mismatches)


def compare_maps(
    got: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> tuple[Mismatch, ...]:
    """Compare the maps of `got` with those of the same name, in the order of `expected`."""
    found = []
    for name, golden in expected.items():
        if name not in got:
            continue
        different = np.argwhere(got[name] != golden)
        if len(different):
            y, x, channel = (int(i) for i in different[0])
            first = (y, x, channel)
            found.append(
                Mismatch(name, len(different), first, int(got[name][first]), int(golden[first]))
            )
    return tuple(found)


@dataclass(frozen=True)
class _Done:
    """An image whose device part is complete."""

    index: int
    codes: Codes
    maps: dict[str, Codes]
    log: RunLog


def _split(network: Network, program: Program) -> tuple[str, str | None]:
    """Name of the device's last map, and of the first CPU layer (None: there is none)."""
    done = {name for layer in program.layers for name in layer.covers}
    names = [layer.name for layer in network.layers]
    if not names or not done <= set(names):
        raise ValueError(f"the program is for {program.model}, not for {network.name}")
    rest = [layer for layer in network.layers if layer.name not in done]
    last = rest[0].inputs[0] if rest else names[-1]
    if last != INPUT and last not in program.outputs:
        raise ValueError(f"the program of {program.model} does not store the map {last}")
    return last, rest[0].name if rest else None


def _batches(images: Iterable[Codes | None], size: int) -> Iterator[list[Codes]]:
    """Yield batches of at most `size` images; where None stands, what there is and an empty one."""
    batch: list[Codes] = []
    for codes in images:
        if codes is not None:
            batch.append(codes)
            if len(batch) < size:
                continue
        if batch:
            yield batch
            batch = []
        if codes is None:
            yield []
    if batch:
        yield batch


class Session:
    """A network loaded on a device; a context manager that frees its memory.

    Parameters
    ----------
    network : Network
        Quantised.
    program : Program
        Compiled from `network`; with ``trace=True`` a check covers every map.
    device : Device
    top : int
        Number of classes to report.
    check : bool
        Compare every feature map that the program stores with the golden model.
    keep : bool
        Return every feature map the program stores, and what the CPU layers give.
    group : int
        Images whose CPU layers run together; best a multiple of the program's batch.
    timeout : float, optional
        Seconds per image on the device; the default is far more than any back end needs.

    Raises
    ------
    ValueError
        If network and program do not match, or `top` is not positive.
    DeviceError
        If the program is for another arch, or does not fit the device's memory.
    """

    def __init__(
        self,
        network: Network,
        program: Program,
        device: Device,
        *,
        top: int = 5,
        check: bool = False,
        keep: bool = False,
        group: int = 1,
        timeout: float | None = None,
    ) -> None:
        self.network = network
        self.program = program
        self.device = device
        self.ask(top=top, check=check, keep=keep, group=group)
        self._last, first = _split(network, program)
        self.cpu = CpuLayers(network, first)
        work = sum(layer.macs for layer in program.layers) / device.arch.macs_per_cycle
        self.timeout = _BASE_TIMEOUT + work / _SLOWEST if timeout is None else timeout
        buffer = device.alloc(program.arena_bytes)
        try:
            device.check_program(program, buffer)
            device.upload(buffer, program.image)
        except DeviceError:
            device.free(buffer)
            raise
        self._buffer: Buffer | None = buffer

    def ask(self, *, top: int, check: bool, keep: bool, group: int) -> None:
        """Change what the next runs are asked for; the program stays loaded.

        Raises
        ------
        ValueError
            If `top` or `group` is not positive.
        """
        for name, value in (("top", top), ("group", group)):
            if value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.top = top
        self.check = check
        self.keep = keep
        self.group = group

    def run(self, images: Iterable[Codes | None]) -> Iterator[Result]:
        """Run images and yield their results in order.

        Images are sent to the device in batches of the program's size; a smaller last batch takes
        as long as a full one.  The results of a group are yielded while the device works on the
        group after the next, each with the log of its whole batch.

        Parameters
        ----------
        images : iterable of uint8 arrays (height, width, channels), or None
            Input codes.  None says that the next one will be a while: the results of all images
            before it come at once, from a smaller batch and group if need be.

        Raises
        ------
        DeviceError
            If a run fails; the results of the images before it come first.
        """
        pending: deque[Future[list[Result]]] = deque()
        failure: DeviceError | None = None
        waiting: list[_Done] = []
        count = 0
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cpu-layers") as pool:
            for batch in _batches(images, self.program.batch):
                if batch:
                    try:
                        found, log = self._accelerate(batch)
                    except DeviceError as error:
                        failure = error
                        break
                    waiting += [
                        _Done(count + index, codes, maps, log)
                        for index, (codes, maps) in enumerate(zip(batch, found, strict=True))
                    ]
                    count += len(batch)
                if waiting and (len(waiting) >= self.group or not batch):
                    pending.append(pool.submit(self._finish, waiting))
                    waiting = []
                while len(pending) > bool(batch):
                    yield from pending.popleft().result()
            if waiting:
                pending.append(pool.submit(self._finish, waiting))
            for future in pending:
                yield from future.result()
        if failure is not None:
            raise failure

    def _accelerate(self, batch: list[Codes]) -> tuple[list[dict[str, Codes]], RunLog]:
        """Run images on the device; return for each the maps that are needed, and the log."""
        buffer = self._buffer
        if buffer is None:
            raise DeviceError("the session is closed")
        for index, codes in enumerate(batch):
            for offset, data in self.program.pack_input(codes, index):
                self.device.upload(buffer, data, offset)
        log = self.device.run(self.program, buffer, timeout=self.timeout)
        wanted = list(self.program.outputs) if self.check or self.keep else []
        if self._last != INPUT and self._last not in wanted:
            wanted.append(self._last)
        found: list[dict[str, Codes]] = [{} for _ in batch]
        for name in wanted:
            spec = self.program.outputs[name]
            data_back = self.device.read(buffer, spec.offset, spec.size)
            for index, maps in enumerate(found):
                maps[name] = self.program.unpack(name, data_back, index)
        return found, log

    def _finish(self, group: list[_Done]) -> list[Result]:
        """Run the CPU layers, and the golden model if `check` is set."""
        start = time.perf_counter()
        outputs = self.cpu.run(
            np.stack(
                [done.codes if self._last == INPUT else done.maps[self._last] for done in group]
            )
        )
        probabilities = self.cpu.scores(outputs[-1]) if outputs else None
        tops: list[tuple[Answer, ...]] = [()] * len(group)
        if probabilities is not None:
            tops = [
                tuple(
                    Answer(number, self._label(number), float(row[number]))
                    for number in top_classes(row, self.top)
                )
                for row in probabilities
            ]
        seconds = (time.perf_counter() - start) / len(group)
        results = []
        for number, (done, top) in enumerate(zip(group, tops, strict=True)):
            mismatches: tuple[Mismatch, ...] = ()
            if self.check:
                golden = run_quantised(self.network, done.codes, stop=self._stop())
                mismatches = compare_maps(done.maps, golden)
            compared = len(done.maps) if self.check else 0
            maps = done.maps
            if self.keep:
                names = [layer.name for layer in self.cpu.layers]
                maps = maps | {n: out[number][None, None] for n, out in zip(names, outputs)}
            results.append(Result(done.index, top, done.log, seconds, compared, mismatches, maps))
        return results

    def _label(self, index: int) -> str:
        labels = self.network.labels
        return labels[index] if index < len(labels) else f"class {index}"

    def _stop(self) -> str:
        """The last layer of the network that the program computes."""
        done = {name for layer in self.program.layers for name in layer.covers}
        return [layer.name for layer in self.network.layers if layer.name in done][-1]

    def close(self) -> None:
        """Free the device's memory; repeated calls do nothing."""
        if self._buffer is not None:
            self.device.free(self._buffer)
            self._buffer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
