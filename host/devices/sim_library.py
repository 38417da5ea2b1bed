"""The compiled simulation, built on first use or found in the cache.

Imports `sim` inside a function, because a board has no simulator.  If this Python lacks the
simulator's packages, as one with the boards' software does, the environment variable
PENSTOCK_SIM_PYTHON may name one that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from penstock.host.devices.device import DeviceError
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint

__all__ = ["simulation_library"]

_RESULT = "library:"

# Seconds until a build without a progress callback prints its steps.
_QUIET = 2.0


class _Spoken:
    """Prints the steps of a build to standard error, once it has taken a while."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._text = ""
        self._timer = threading.Timer(_QUIET, self._print)
        self._timer.daemon = True
        self._timer.start()

    def say(self, text: str) -> None:
        self._text = text
        if time.monotonic() - self._begin >= _QUIET:
            self._print()

    def _print(self) -> None:
        if self._text:
            spent = time.monotonic() - self._begin
            print(
                f"penstock: building the simulator, {spent:.0f} s: {self._text}",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        self._timer.cancel()


def simulation_library(
    arch: Arch,
    *,
    top: str = "accel",
    waves: bool = False,
    record: bool = False,
    train: Callable[[Path], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the path of the library; the parameters are those of `sim.library.build.library`.

    Without `progress`, a build that takes longer than two seconds says on standard error what it
    does; ``progress=lambda text: None`` keeps it quiet.  Another Python builds without
    profile-guided optimisation: slower, same results.

    Raises
    ------
    DeviceError
        If a package or tool is missing, or a tool fails.
    """
    if progress is None:
        spoken = _Spoken()
        try:
            return simulation_library(
                arch, top=top, waves=waves, record=record, train=train, progress=spoken.say
            )
        finally:
            spoken.close()
    other = os.environ.get("PENSTOCK_SIM_PYTHON")
    if other:
        return _elsewhere(other, arch, top, waves, record, progress)
    try:
        from penstock.sim.library.build import library
        from penstock.sim.library.toolchain import ToolError
    except ModuleNotFoundError as error:
        raise DeviceError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    try:
        return library(arch, top=top, waves=waves, record=record, train=train, progress=progress)
    except ToolError as error:
        raise DeviceError(str(error)) from None


def _elsewhere(
    python: str,
    arch: Arch,
    top: str,
    waves: bool,
    record: bool,
    progress: Callable[[str], None] | None,
) -> Path:
    """Build with another Python."""
    command = [python, "-m", "penstock.sim", json.dumps(asdict(arch)), top]
    command += [str(int(waves)), str(int(record))]
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.startswith(_RESULT):
                    return Path(line[len(_RESULT) :].rstrip("\n"))
                if progress is not None:
                    progress(line.rstrip("\n"))
            errors = process.stderr.read().strip().splitlines() or ["no reason given"]
    except OSError as error:
        raise DeviceError(f"PENSTOCK_SIM_PYTHON: {python}: {error.strerror}") from None
    raise DeviceError(f"{python} cannot build the simulator: {errors[-1]}")
