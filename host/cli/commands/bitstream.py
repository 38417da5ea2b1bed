"""`bitstream`: a board's bitstream, checked on the way, with a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.cli.commands.netlist import check_netlist
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input, one_line
from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.inputs.catalog import load_network
from penstock.host.program.compile_error import CompileError
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint

__all__ = ["bitstream"]


def _steps() -> Callable[[str], None]:
    """Return a function that prints what happens now, with the seconds since the beginning."""
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"penstock: {time.monotonic() - begin:5.0f} s  {text}", file=sys.stderr, flush=True)

    return say


def _cycles(network: str, arch: Arch, say: Callable[[str], None]) -> dict[str, int]:
    """Predicted cycles of one image of a network; nothing if it does not fit the arch."""
    say(f"predicting the cycles of {network}")
    try:
        program = compile_network(load_network(network), arch)
    except CompileError:
        return {}
    return {network: sum(layer.cycles for layer in predict(program, arch))}


def bitstream(
    board: Annotated[str, typer.Option("--board", help="Such as pynq-z2.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; default build/BOARD.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Placements to try.")] = 4,
    seed: Annotated[
        int | None, typer.Option("--seed", min=1, help="Only this one, instead of --seeds.")
    ] = None,
    minutes: Annotated[
        float, typer.Option("--time", min=0.1, help="Minutes for all of place and route.")
    ] = 30.0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Placements at a time.")] = 2,
    arch: Annotated[
        str | None, typer.Option("--arch", help="Another arch than the board's own.")
    ] = None,
) -> None:
    """Build a board's bitstream with open tools, and check it."""
    try:
        from penstock.hw.flow.board import get_board
        from penstock.hw.flow.build import build
        from penstock.hw.flow.errors import BuildError
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    with bad_input():
        target = get_board(board)
    shape = arch_for(arch or target.arch)
    folder = out or Path("build") / board
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: not a folder")
    try:
        say = _steps()
        report = build(
            target,
            shape,
            folder,
            seeds=[seed] if seed is not None else range(1, seeds + 1),
            minutes=minutes,
            check=check_netlist,
            cycles=_cycles(target.network, shape, say),
            say=say,
            jobs=jobs,
        )
    except BuildError as error:
        raise WorkError(one_line(error)) from None
    for text in report.summary():
        print(text)
    print(f"files: {folder}")
    if not report.met:
        raise WorkError(
            f"timing missed: {board} must report {target.target_mhz:g} MHz "
            f"(more --seeds may do better; the files are in {folder})"
        )
