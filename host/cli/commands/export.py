"""`export`: the core's Verilog for another design, with constraints and an example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.host.api.core_export import export_core
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, bad_input
from penstock.host.cli.support.options import ArchOption
from penstock.host.cli.support.progress import task

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    arch: ArchOption = "lab",
    mhz: Annotated[float, typer.Option("--mhz", help="The clock to constrain.")] = 100.0,
) -> None:
    """Write the core as Verilog, with ports, constraints, a LiteX module and examples."""
    target = arch_for(arch)
    if not mhz > 0:
        raise InputError(f"--mhz must be positive, not {mhz:g}")
    with task("exporting") as progress, bad_input():
        paths = export_core(target, folder, mhz=mhz, progress=progress.say)
    print(f"arch {target}: {len(paths)} files in {folder}")
    print(f"ports and timing: {folder / 'ports.md'}; example: sh {folder / 'example' / 'run.sh'}")
    print(f"in a LiteX SoC, simulated: sh {folder / 'example' / 'run_litex.sh'}")
