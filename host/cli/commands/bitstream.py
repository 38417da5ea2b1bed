"""`bitstream`: a board's bitstream, checked on the way, with a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.host.api.compiled import compile_for, predicted_cycles
from penstock.host.api.loading import load
from penstock.host.cli.commands.netlist import check_netlist
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input, one_line
from penstock.host.cli.support.progress import task
from penstock.host.explore.fit import Target, doubts, misfits
from penstock.host.program.compile_error import CompileError
from penstock.models.spec.arch import Arch
from penstock.models.spec.devices import get_device
from penstock.models.spec.install_hint import install_hint
from penstock.models.spec.number_format import duration

__all__ = ["bitstream"]


def _steps() -> Callable[[str], None]:
    """Return a function that prints each step with the seconds since the start."""
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"penstock: {time.monotonic() - begin:5.0f} s  {text}", file=sys.stderr, flush=True)

    return say


def _cycles(network: str, arch: Arch, say: Callable[[str], None]) -> dict[str, int]:
    """Predicted cycles of one image of a network; None if it does not fit the arch."""
    say(f"predicting the cycles of {network}")
    try:
        program = compile_for(load(network), arch).program
    except CompileError:
        return {}
    return {network: predicted_cycles(program, arch)}


def _say_expected(say: Callable[[str], None], times: Any, expected: float | None) -> None:
    """Say how long a build takes, and how that is known."""
    if expected is not None:
        say(f"about {duration(expected)} in all, as {times.source} took")
    else:
        say("how long it takes is not known: no build of this board and arch was measured")


def _demand(board: str, missing: list[Any], netlist_only: bool) -> None:
    """Print missing packages as a numbered list of remedies, each once, and fail.

    Raises
    ------
    WorkError
        If anything is missing.
    """
    if not missing:
        return
    cures: dict[str, list[str]] = {}
    for tool in missing:
        cures.setdefault(tool.cure, []).append(tool.name)
    print(f"penstock: missing for the bitstream of {board}:", file=sys.stderr)
    for number, (cure, names) in enumerate(cures.items(), 1):
        print(f"  {number}. {', '.join(names)}: {cure}", file=sys.stderr)
    hint = "" if netlist_only else "; --netlist-only stops before place and route"
    raise WorkError(f"nothing was made{hint}")


def _check_fit(arch: Arch, board: Any) -> None:
    """Refuse an arch that does not fit the board's FPGA, before synthesis.

    Raises
    ------
    InputError
        With each resource that is exceeded.
    """
    try:
        device = get_device(board.part)
    except ValueError:
        return  # found out by synthesis
    target = Target.of(device, board.name)
    wrong = misfits(arch, target)
    if wrong:
        raise InputError(
            f"arch {arch.name} does not fit {board.name} ({device.name}): {'; '.join(wrong)} "
            f"(penstock explore --board {board.name} finds what does)"
        )
    for doubt in doubts(arch, target):
        print(f"penstock: arch {arch.name} may be too large: {doubt}", file=sys.stderr)


def bitstream(
    board: Annotated[
        str, typer.Option("--board", help="Such as pynq-z2, or a Python file that defines BOARD.")
    ],
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
        str | None,
        typer.Option("--arch", help="Another arch than the board's own; also a .toml file."),
    ] = None,
    netlist_only: Annotated[
        bool, typer.Option("--netlist-only", help="Stop after the checked netlist.")
    ] = False,
) -> None:
    """Build a board's bitstream with open tools, and check it."""
    try:
        from penstock.hw.boards.catalog import get_board
        from penstock.hw.flow.build import build, missing_tools
        from penstock.hw.flow.errors import BuildError
        from penstock.hw.flow.step_times import step_times
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    with bad_input():
        target = get_board(board)
    shape = target.preset if arch is None else arch_for(arch)
    _check_fit(shape, target)
    folder = out or Path("build") / target.name
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: not a folder")
    numbers = [seed] if seed is not None else list(range(1, seeds + 1))
    times = step_times(target, shape, folder)
    expected = None
    if times is not None:
        expected = times.total(
            seeds=len(numbers), jobs=jobs, limit=60 * minutes, netlist_only=netlist_only
        )
    try:
        _demand(target.name, missing_tools(target, netlist_only=netlist_only), netlist_only)
        with task(f"building for {target.name}", expected=expected):
            say = _steps()
            _say_expected(say, times, expected)
            report = build(
                target,
                shape,
                folder,
                seeds=numbers,
                minutes=minutes,
                check=check_netlist,
                cycles=_cycles(target.network, shape, say),
                say=say,
                jobs=jobs,
                netlist_only=netlist_only,
                times=times,
            )
    except BuildError as error:
        raise WorkError(one_line(error)) from None
    for text in report.summary():
        print(text)
    print(f"files: {folder}")
    if netlist_only:
        return
    if target.load:
        print(f"to load it, in that folder: {target.load}")
    if not report.met:
        raise WorkError(
            f"timing missed: {target.name} must report {target.target_mhz:g} MHz "
            f"(more --seeds may do better; the files are in {folder})"
        )
