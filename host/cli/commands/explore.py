"""`explore`: compare arches by the predictions of the compiler and the area model."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import Task, task
from penstock.host.explore.area import Area, estimate_area, family_error
from penstock.host.explore.fit import Target, misfits
from penstock.host.explore.points import Point, mark_front, points_of
from penstock.host.explore.ranges import numbers, shapes, whole_numbers
from penstock.host.explore.space import VARIED, Space, arches
from penstock.host.explore.sweep import memory_at, sweep
from penstock.host.inputs.catalog import MODELS, load_network
from penstock.host.report.explore_plot import Dot, draw_sweep
from penstock.host.report.plot import plot_format
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.arch_file import to_toml
from penstock.models.spec.devices import BLOCK_RAM, get_device
from penstock.models.spec.install_hint import install_hint
from penstock.models.spec.number_format import human

__all__ = ["explore"]

_ARRAYS = "8x8,8x16,12x12,16x16,12x32"
_CLOCK = "100"
# Most refused arches that are printed with their reason.
_NAMED = 6


def _board(name: str) -> tuple[Target, Arch, float]:
    """The FPGA of a board, its arch, and its clock."""
    try:
        from penstock.hw.boards.catalog import get_board
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    with bad_input():
        board = get_board(name)
        device = get_device(board.part)
    return Target.of(device, board.name), board.preset, board.target_mhz


def _space(base: Arch, texts: dict[str, str | None]) -> Space:
    """The arches selected by the options."""
    with bad_input():
        lists = {
            name: whole_numbers(f"--{name.replace('_', '-')}", text)
            for name in VARIED
            if (text := texts[name]) is not None
        }
        sizes: list[tuple[int, int]] = []
        if texts["array"] is not None:
            sizes = shapes("--array", texts["array"])
        elif texts["rows"] is not None or texts["cols"] is not None:
            rows = whole_numbers("--rows", texts["rows"] or str(base.rows))
            cols = whole_numbers("--cols", texts["cols"] or str(base.cols))
            sizes = [(r, c) for r in rows for c in cols]
        elif not lists:
            sizes = shapes("--array", _ARRAYS)
    return arches(base, sizes, lists)


def _report_progress(progress: Task, total: int) -> Any:
    """A function that reports the arches done, their share, and the time left."""
    begin = time.monotonic()

    def done(count: int) -> None:
        left = (time.monotonic() - begin) / count * (total - count)
        progress.update(
            count, f"{count} of {total} arches, {100 * count // total} %, about {left:.0f} s left"
        )

    return done


def _say_left_out(what: str, reasons: Sequence[tuple[str, str]]) -> None:
    """Print the arches that are not in the table, with the reasons."""
    if not reasons:
        return
    print(f"{what}: {len(reasons)}")
    for name, reason in reasons[:_NAMED]:
        print(f"  {name}: {reason}")
    if len(reasons) > _NAMED:
        print(f"  and {len(reasons) - _NAMED} more (all of them in --json)")


def _table(points: Sequence[Point], models: Sequence[str], family: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    rates = ["images/s"] if len(models) == 1 else [f"{model}/s" for model in models]
    ram = BLOCK_RAM[family]
    names = ["", "arch", "MHz", *rates, "bytes", "effic.", "DSP", ram, "LUT est.", "FF est."]
    for name in names:
        justify: Any = "left" if name in ("", "arch") else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for point in points:
        area = point.area
        table.add_row(
            "*" if point.front else "",
            point.arch.name,
            f"{point.mhz:g}",
            *(f"{rate:.1f}" for rate in point.rates),
            human(sum(estimate.bytes for estimate in point.estimates), "B"),
            f"{100 * point.efficiency:.1f} %",
            f"{area.dsp:g}",
            f"{area.ram:g}",
            str(area.lut),
            str(area.ff),
        )
    return table


def _point_json(point: Point, models: Sequence[str]) -> dict[str, Any]:
    return {
        "arch": asdict(point.arch),
        "fingerprint": f"{point.arch.fingerprint:016x}",
        "clock_mhz": point.mhz,
        "models": {
            model: {
                "cycles": estimate.cycles,
                "images_per_second": rate,
                "ddr_bytes": estimate.bytes,
                "macs": estimate.macs,
                "efficiency": estimate.efficiency(point.arch),
            }
            for model, estimate, rate in zip(models, point.estimates, point.rates)
        },
        "images_per_second": point.rate,
        "area": _area_json(point.area),
        "pareto": point.front,
    }


def _area_json(area: Area) -> dict[str, float]:
    return {
        "dsp": area.dsp,
        "block_ram": area.ram,
        "lut_estimate": area.lut,
        "ff_estimate": area.ff,
    }


def _draw(path: Path, points: Sequence[Point], target: Target, title: str, form: str) -> None:
    ram = BLOCK_RAM[target.family]
    clocks = {point.mhz for point in points}
    dots = [
        Dot(
            point.arch.name + (f" at {point.mhz:g} MHz" if len(clocks) > 1 else ""),
            point.rate,
            {"DSP": point.area.dsp, ram: point.area.ram, "LUT, estimate": point.area.lut},
            point.front,
        )
        for point in points
    ]
    limits: dict[str, float] = {}
    if target.resources:
        limits = {"DSP": target.resources["DSP"], ram: target.resources[ram]}
        limits["LUT, estimate"] = target.resources["LUT"]
    draw_sweep(path, dots, title=title, limits=limits, form=form)


_PLOTS = ("png", "svg")
_LIST = "a list or range: 8,16 or 1024..8192 (doubled) or 8..16:4 (in steps)"


def explore(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help=f"{', '.join(MODELS)}, or files; default alexnet."),
    ] = None,
    array: Annotated[
        str | None, typer.Option("--array", help=f"ROWSxCOLS, several; default {_ARRAYS}.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", help=f"Instead of --array: {_LIST}.")
    ] = None,
    cols: Annotated[str | None, typer.Option("--cols", help="As --rows.")] = None,
    act_words: Annotated[
        str | None, typer.Option("--act-words", help=f"Activation buffer: {_LIST}.")
    ] = None,
    psum_words: Annotated[
        str | None, typer.Option("--psum-words", help="Partial-sum banks, as above.")
    ] = None,
    out_words: Annotated[
        str | None, typer.Option("--out-words", help="Output buffer, as above.")
    ] = None,
    wgt_words: Annotated[
        str | None, typer.Option("--wgt-words", help="Weight FIFO, as above.")
    ] = None,
    drain_lanes: Annotated[
        str | None, typer.Option("--drain-lanes", help="Requantise lanes, as above.")
    ] = None,
    lrn_lanes: Annotated[
        str | None, typer.Option("--lrn-lanes", help="LRN lanes, as above.")
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option("--clock", help=f"MHz, as above; default {_CLOCK}, or the board's own."),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", help="Gives what is not varied; default lab, or the board's own."),
    ] = None,
    board: Annotated[
        str | None, typer.Option("--board", help="Keep to what fits this board.")
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help=f"Count cells for {', '.join(BLOCK_RAM)}; default xc7."),
    ] = None,
    memory_rate: Annotated[
        float | None,
        typer.Option(
            "--memory-rate", help="MB/s the memory gives; default as many as the core takes."
        ),
    ] = None,
    memory_latency: Annotated[
        float | None,
        typer.Option(
            "--memory-latency", help="ns from address to data; default 40 cycles at any clock."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the points to this .png or .svg file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all points to this file.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write the fastest arch to this .toml file.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Arches at a time; default one a processor."),
    ] = None,
) -> None:
    """Compare arches: predicted speed and bytes of networks against DSPs, block RAMs and LUTs."""
    names = list(dict.fromkeys(models or ["alexnet"]))
    form = ""
    if plot is not None:
        with bad_input():
            form = plot_format(plot, _PLOTS)
    if array is not None and (rows is not None or cols is not None):
        raise InputError("--array or --rows and --cols, not both")
    if board is not None and family is not None:
        raise InputError("--board or --family, not both: a board has its own")
    if family is not None and family not in BLOCK_RAM:
        raise InputError(f"--family must be one of {', '.join(BLOCK_RAM)}, not {family!r}")
    if save is not None and save.suffix != ".toml":
        raise InputError(f"--save writes a .toml file, not {save.name!r}")
    target, preset, mhz = Target(family or "xc7"), get_arch("lab"), float(_CLOCK)
    if board is not None:
        target, preset, mhz = _board(board)
    base = preset if arch is None else arch_for(arch)
    with bad_input():
        clocks = [mhz] if clock is None else numbers("--clock", clock)
        memories = [
            memory_at(value, megabytes=memory_rate, nanoseconds=memory_latency) for value in clocks
        ]
    texts = {
        **{"array": array, "rows": rows, "cols": cols, "act_words": act_words},
        **{"psum_words": psum_words, "out_words": out_words, "wgt_words": wgt_words},
        **{"drain_lanes": drain_lanes, "lrn_lanes": lrn_lanes},
    }
    space = _space(base, texts)
    reasons = {one.name: misfits(one, target) for one in space.arches}
    fitting = [one for one in space.arches if not reasons[one.name]]
    too_large = [(name, "; ".join(why)) for name, why in reasons.items() if why]
    with ExitStack() as stack:
        report, picture, saved = (
            None if path is None else stack.enter_context(OutputFile(path))
            for path in (json_file, plot, save)
        )
        with task("reading the networks") as progress, bad_input():
            for model in names:
                load_network(model, progress=progress.say)
        with task(f"{len(fitting)} arches", total=len(fitting)) as progress:
            outcomes = sweep(
                names,
                fitting,
                memories,
                jobs=jobs,
                done=_report_progress(progress, len(fitting)),
            )
        refused = [(found.arch.name, found.refused) for found in outcomes if found.refused]
        points = mark_front(
            points_of(outcomes, clocks, lambda one: estimate_area(one, target.family, target.shell))
        )
        where = f"board {board}" if board is not None else f"a core for {target.family}"
        what = f"{' and '.join(names)} on {where}"
        print(f"{what}: {len(points)} points, predicted for one image; * is the Pareto front")
        if points:
            show(_table(points, names, target.family))
            print(_legend(target, names))
        _say_left_out("combinations the hardware cannot have", space.impossible)
        _say_left_out(f"arches that do not fit {where}", too_large)
        _say_left_out("arches too small for a network", refused)
        if report is not None:
            data = {
                "models": names,
                "board": board,
                "family": target.family,
                "resources": dict(target.resources),
                "estimate_error": family_error(target.family),
                "memory": [asdict(memory) for memory in memories],
                "points": [_point_json(point, names) for point in points],
                "impossible": [{"arch": n, "reason": r} for n, r in space.impossible],
                "too_large": [{"arch": n, "reason": r} for n, r in too_large],
                "refused": [{"arch": n, "reason": r} for n, r in refused],
            }
            report.commit(json.dumps(data, indent=2).encode() + b"\n")
        if not points:
            raise WorkError("no arch of this sweep can be built and run the networks")
        if picture is not None:
            with task("drawing"):
                picture.commit(lambda path: _draw(path, points, target, what, form))
        if saved is not None:
            saved.commit(to_toml(points[0].arch).encode())
            print(f"{save}: arch {points[0].arch}")


def _legend(target: Target, models: Sequence[str]) -> str:
    """The notes below the table."""
    error = family_error(target.family)
    text = (
        "Bytes are read and written; LUT and FF are estimates, within "
        f"{100 * max(error.values()):.0f} % of syntheses that the fit had not seen."
    )
    if len(models) > 1:
        text += " The front is for one image of each network in turn."
    return text
