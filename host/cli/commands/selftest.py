"""`selftest`: test a board, and print the data for a report if a test fails."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.apps.self_test import Step, selftest
from penstock.host.cli.support.device_options import (
    arch_for,
    check_device,
    default_arch,
    open_for,
    say_verified,
)
from penstock.host.cli.support.exit_status import EXIT_FAILED, bad_input
from penstock.host.cli.support.options import (
    DeviceArchOption,
    OverlayOption,
    PortOption,
    VerifyOption,
)
from penstock.host.devices.device import Device, DeviceError

__all__ = ["selftest_command"]

_PACKAGES = ("penstock", "numpy", "pynq", "pynqmetadata")


def _versions() -> list[str]:
    found = []
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found


def _report(device: Device, arch: str, failed: Step, overlay: Path | None) -> None:
    """Print the data that a report of the failure needs."""
    print("\nTo report this, send all lines from here on:")
    print(f"  step        {failed.name}: {failed.detail}")
    print(f"  device      {device.name}, arch {arch}, overlay {overlay or 'the default one'}")
    print(f"  board       {os.environ.get('BOARD', 'unknown')}, {platform.platform()}")
    print(f"  software    Python {platform.python_version()}, {', '.join(_versions())}")
    try:
        registers = "closed" if device.csr is None else device.csr.dump()
    except (DeviceError, OSError, RuntimeError) as error:
        registers = f"do not answer: {error}"
    print(f"  registers   {registers}")


def selftest_command(
    device: Annotated[str, typer.Option("--device", help="A board, pynq-sim or rtl.")] = "pynq",
    arch: DeviceArchOption = None,
    overlay: OverlayOption = None,
    port: PortOption = None,
    verify: VerifyOption = False,
) -> None:
    """Test a device: registers, memory, one layer of each kind."""
    check_device(device)
    target = arch_for(default_arch(device) if arch is None else arch)
    with open_for(device, target, overlay, port=port, verify=verify) as opened, bad_input():
        steps = selftest(opened)
        for step in steps:
            print(f"{'ok' if step.passed else 'FAILED':8}{step.name:18}{step.detail}", flush=True)
            if not step.passed:
                _report(opened, str(target), step, overlay)
                raise typer.Exit(EXIT_FAILED)
        say_verified([opened])
    print("all is well")
