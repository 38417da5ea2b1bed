"""`watch`: classify the pictures of a camera or a folder as they arrive, and print the rate."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from penstock.host.api.opened_device import Device
from penstock.host.cli.commands.classify import prepare
from penstock.host.cli.support.device_options import open_for, say_verified
from penstock.host.cli.support.exit_status import InputError, bad_input
from penstock.host.cli.support.option_groups import grouped
from penstock.host.cli.support.options import DeviceOptions, NetworkOptions, RunOptions
from penstock.host.inputs.preprocess import frame_codes, load_codes
from penstock.host.inputs.sources import ahead, arriving, frames
from penstock.models.graph.graph import InputSpec
from penstock.models.spec.number_format import percent

__all__ = ["watch"]

_CAMERA = "camera"

# Seconds without a new picture after which pending answers are printed, however few.
_IDLE = 0.25


def _print_rate(done: int, seconds: float) -> None:
    many = "1 picture" if done == 1 else f"{done} pictures"
    print(f"{many} in {seconds:.1f} s: {done / seconds:.1f} frames/s", flush=True)


_BOARD = DeviceOptions(device="pynq")


def _pictures(source: str, spec: InputSpec, once: bool) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and codes of each picture; a file that is no image is reported and left out."""
    name, _, number = source.partition(":")
    if name == _CAMERA:
        if number and not number.isdecimal():
            raise InputError(f"SOURCE must be a folder, camera or camera:N, not {source!r}")
        for index, frame in enumerate(frames(int(number or 0))):
            yield f"frame {index}", frame_codes(frame, spec)
        return
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"SOURCE must be a folder, camera or camera:N, not {source!r}")
    for path in arriving(folder, once=once):
        try:
            codes = load_codes(path, spec)
        except ValueError as error:
            print(f"penstock: {error}", file=sys.stderr)
            continue
        yield str(path), codes


@grouped
def watch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, camera, or camera:N.")],
    network: NetworkOptions,
    run: RunOptions,
    target: DeviceOptions = _BOARD,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End after so many pictures.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after the pictures that are in the folder.")
    ] = False,
) -> None:
    """Classify pictures as they arrive, until Ctrl-C; the rate is over the last second or more."""
    compiled = prepare(network, target, run)
    back_end = open_for(
        target.device, compiled.arch, target.overlay, port=target.port, verify=target.verify
    )
    with Device.around(back_end) as device:
        if not compiled.layers_on_cpu:
            raise InputError(f"{compiled.network.name} has no layers that give an answer")
        names: deque[str] = deque()

        def codes() -> Iterator[NDArray[np.uint8] | None]:
            pictures = _pictures(source, compiled.network.input, once)
            for entry in ahead(islice(pictures, count), idle=_IDLE):
                if entry is None:
                    yield None
                    continue
                names.append(entry[0])
                yield entry[1]

        begin = mark = time.perf_counter()
        done = since = 0
        try:
            with bad_input():
                for result in device.stream(compiled, codes(), top=1, group=run.group, raw=True):
                    answer = result.top[0]
                    shown = f"{percent(answer.score)}  {answer.label}"
                    print(f"{names.popleft()}: {shown}", flush=True)
                    done, since = done + 1, since + 1
                    now = time.perf_counter()
                    if now - mark >= 1:
                        print(f"  {since / (now - mark):.1f} frames/s", flush=True)
                        mark, since = now, 0
        except KeyboardInterrupt:  # the normal end if the source has none
            _print_rate(done, time.perf_counter() - begin)
            raise
        _print_rate(done, time.perf_counter() - begin)
        say_verified(device.back_ends)
