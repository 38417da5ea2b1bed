"""`explore`: arches compared by what the compiler and the area model predict."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.host.explore.area import estimate_area, family_error
from penstock.host.explore.fit import Target, misfits
from penstock.host.explore.points import Point, mark_front, points_of
from penstock.host.explore.space import VARIED, Space, arches
from penstock.host.explore.sweep import memory_at, sweep
from penstock.host.inputs.catalog import load_network
from penstock.host.report.explore_plot import Dot, draw_sweep
from penstock.host.report.missing_package import MissingPackage
from penstock.host.report.plot import plot_format
from penstock.host.timing.latencies import Memory
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch
from penstock.models.spec.devices import BLOCK_RAM, get_device
from penstock.models.spec.number_format import human
from penstock.models.spec.plain_table import PlainTable

__all__ = ["ARRAYS", "CLOCK", "Exploration", "Sweep", "explore", "plan_sweep"]

# What is compared if nothing is said: rows and columns, and MHz.
ARRAYS = ((8, 8), (8, 16), (12, 12), (16, 16), (12, 32))
CLOCK = 100.0

_PLOTS = ("png", "svg")


@dataclass(frozen=True, repr=False)
class Exploration:
    """What became of a sweep.

    Parameters
    ----------
    models : tuple of str
    board : str or None
    target : host.explore.fit.Target
        What the arches had to fit.
    memories : tuple of Memory
        One for each clock.
    points : tuple of Point
        The fastest first, each with `arch`, `mhz`, `rate` (images a second), `area`, and `front`:
        whether no other point is better in all of these.
    impossible, too_large, refused : tuple of (str, str)
        Arches that the hardware cannot have, that do not fit the target, and that are too small
        for a network, with the reason.
    """

    models: tuple[str, ...]
    board: str | None
    target: Target
    memories: tuple[Memory, ...]
    points: tuple[Point, ...]
    impossible: tuple[tuple[str, str], ...]
    too_large: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def where(self) -> str:
        """What the arches are for, in words."""
        return f"board {self.board}" if self.board else f"a core for {self.target.family}"

    @property
    def title(self) -> str:
        """Networks and target, in words."""
        return f"{' and '.join(self.models)} on {self.where}"

    @property
    def legend(self) -> str:
        """What the figures are."""
        error = family_error(self.target.family)
        text = (
            "Bytes are read and written; LUT and FF are estimates, within "
            f"{100 * max(error.values()):.0f} % of syntheses that the fit had not seen."
        )
        if len(self.models) > 1:
            text += " The front is for one image of each network in turn."
        return text

    def table(self) -> PlainTable:
        """Return the points as a table; * marks the Pareto front."""
        one = len(self.models) == 1
        rates = ["images/s"] if one else [f"{model}/s" for model in self.models]
        ram = BLOCK_RAM[self.target.family]
        rows = [
            (
                "*" if point.front else "",
                point.arch.name,
                f"{point.mhz:g}",
                *(f"{rate:.1f}" for rate in point.rates),
                human(sum(estimate.bytes for estimate in point.estimates), "B"),
                f"{100 * point.efficiency:.1f} %",
                f"{point.area.dsp:g}",
                f"{point.area.ram:g}",
                str(point.area.lut),
                str(point.area.ff),
            )
            for point in self.points
        ]
        names = ["", "arch", "MHz", *rates, "bytes", "effic.", "DSP", ram, "LUT est.", "FF est."]
        return PlainTable(names, rows, ("", "arch"), title=self.title)

    def to_json(self) -> dict[str, Any]:
        """Return the report of ``penstock explore --json``."""

        def left_out(reasons: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
            return [{"arch": name, "reason": reason} for name, reason in reasons]

        return {
            "models": list(self.models),
            "board": self.board,
            "family": self.target.family,
            "resources": dict(self.target.resources),
            "estimate_error": family_error(self.target.family),
            "memory": [asdict(memory) for memory in self.memories],
            "points": [self._point_json(point) for point in self.points],
            "impossible": left_out(self.impossible),
            "too_large": left_out(self.too_large),
            "refused": left_out(self.refused),
        }

    def _point_json(self, point: Point) -> dict[str, Any]:
        area = point.area
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
                for model, estimate, rate in zip(self.models, point.estimates, point.rates)
            },
            "images_per_second": point.rate,
            "area": {
                "dsp": area.dsp,
                "block_ram": area.ram,
                "lut_estimate": area.lut,
                "ff_estimate": area.ff,
            },
            "pareto": point.front,
        }

    def save_plot(self, path: str | os.PathLike[str], *, form: str | None = None) -> None:
        """Draw images a second against DSPs, block RAMs and LUTs, to a .png or .svg file.

        `form` (``png`` or ``svg``) is for a path that does not say it.

        Raises
        ------
        ValueError
            If there are no points, or the path ends in something else.
        MissingPackage
            If matplotlib is not installed.
        OSError
            If the file cannot be written.
        """
        chosen = plot_format(Path(path), _PLOTS) if form is None else form
        if not self.points:
            raise ValueError("there are no points to draw")
        ram = BLOCK_RAM[self.target.family]
        clocks = {point.mhz for point in self.points}
        dots = [
            Dot(
                point.arch.name + (f" at {point.mhz:g} MHz" if len(clocks) > 1 else ""),
                point.rate,
                {"DSP": point.area.dsp, ram: point.area.ram, "LUT, estimate": point.area.lut},
                point.front,
            )
            for point in self.points
        ]
        limits: dict[str, float] = {}
        if self.target.resources:
            limits = {"DSP": self.target.resources["DSP"], ram: self.target.resources[ram]}
            limits["LUT, estimate"] = self.target.resources["LUT"]
        draw_sweep(Path(path), dots, title=self.title, limits=limits, form=chosen)

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


@dataclass(frozen=True)
class Sweep:
    """A sweep that has not run.

    Parameters
    ----------
    models : tuple of str
    board : str or None
    target : host.explore.fit.Target
    clocks : tuple of float
        MHz.
    memories : tuple of Memory
        One for each clock.
    fitting : tuple of Arch
        What will be evaluated.
    impossible, too_large : tuple of (str, str)
        What will not, and why.
    base : Arch
        Gives what is not varied.
    """

    models: tuple[str, ...]
    board: str | None
    target: Target
    clocks: tuple[float, ...]
    memories: tuple[Memory, ...]
    fitting: tuple[Arch, ...]
    impossible: tuple[tuple[str, str], ...]
    too_large: tuple[tuple[str, str], ...]
    base: Arch

    def run(
        self, *, jobs: int | None = None, done: Callable[[int], None] = lambda count: None
    ) -> Exploration:
        """Evaluate the arches; arguments as for `explore`."""
        outcomes = sweep(list(self.models), self.fitting, self.memories, jobs=jobs, done=done)
        family, shell = self.target.family, self.target.shell
        points = points_of(outcomes, self.clocks, lambda one: estimate_area(one, family, shell))
        refused = [(found.arch.name, found.refused) for found in outcomes if found.refused]
        return Exploration(
            self.models,
            self.board,
            self.target,
            self.memories,
            tuple(mark_front(points)),
            self.impossible,
            self.too_large,
            tuple(refused),
        )


def _board(name: str) -> tuple[Target, Arch, float]:
    """What a board can hold, its arch, and its clock."""
    try:
        from penstock.hw.boards.catalog import get_board
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name, "sim") from None
    board = get_board(name)
    device = get_device(board.part)
    return Target.of(device, board.name), board.preset, board.target_mhz


def plan_sweep(
    models: str | Sequence[str] = "alexnet",
    *,
    arrays: Sequence[tuple[int, int]] | None = None,
    vary: Mapping[str, Sequence[int]] | None = None,
    base: Arch | str | None = None,
    clocks: Sequence[float] | None = None,
    board: str | None = None,
    family: str | None = None,
    memory_rate: float | None = None,
    memory_latency: float | None = None,
) -> Sweep:
    """Return what `explore` would evaluate; arguments and errors as there."""
    names = (models,) if isinstance(models, str) else tuple(dict.fromkeys(models))
    if board is not None and family is not None:
        raise ValueError("board or family, not both: a board has its own")
    if family is not None and family not in BLOCK_RAM:
        raise ValueError(f"family must be one of {', '.join(BLOCK_RAM)}, not {family!r}")
    unknown = [name for name in vary or () if name not in VARIED]
    if unknown:
        raise ValueError(f"vary takes {', '.join(VARIED)}, not {unknown[0]!r}")
    target, preset, mhz = Target(family or "xc7"), find_arch("lab"), CLOCK
    if board is not None:
        target, preset, mhz = _board(board)
    if base is not None:
        preset = find_arch(base) if isinstance(base, str) else base
    chosen = tuple(clocks) if clocks is not None else (mhz,)
    memories = tuple(
        memory_at(value, megabytes=memory_rate, nanoseconds=memory_latency) for value in chosen
    )
    sizes = list(arrays if arrays is not None else () if vary else ARRAYS)
    space: Space = arches(preset, sizes, dict(vary or {}))
    reasons = {one.name: misfits(one, target) for one in space.arches}
    return Sweep(
        names,
        board,
        target,
        chosen,
        memories,
        tuple(one for one in space.arches if not reasons[one.name]),
        tuple(space.impossible),
        tuple((name, "; ".join(why)) for name, why in reasons.items() if why),
        preset,
    )


def explore(
    models: str | Sequence[str] = "alexnet",
    *,
    arrays: Sequence[tuple[int, int]] | None = None,
    vary: Mapping[str, Sequence[int]] | None = None,
    base: Arch | str | None = None,
    clocks: Sequence[float] | None = None,
    board: str | None = None,
    family: str | None = None,
    memory_rate: float | None = None,
    memory_latency: float | None = None,
    jobs: int | None = 1,
    done: Callable[[int], None] = lambda count: None,
) -> Exploration:
    """Compare arches: predicted speed and bytes of networks against DSPs, block RAMs and LUTs.

    Nothing is synthesised: cycles are the compiler's cost model's, areas are fitted on syntheses.

    Parameters
    ----------
    models : str or sequence of str
        Networks by name or file, as for `penstock.load`.
    arrays : sequence of (int, int)
        Rows and columns; None: some usual ones, or `base`'s if something else varies.
    vary : mapping of sequences of int
        Values of other parameters of `penstock.Arch`, such as ``{"act_words": [1024, 2048]}``.
    base : Arch or str
        Gives what is not varied; None: ``lab``, or the board's arch.
    clocks : sequence of float
        MHz; None: 100, or the board's.
    board : str
        Keep to what fits this board.
    family : str
        Count the cells of ``xc7``, ``ecp5`` or ``gowin``; None: ``xc7``.
    memory_rate : float
        MB/s that memory gives; None: as much as the core takes.
    memory_latency : float
        ns from address to data; None: 40 cycles at any clock.
    jobs : int or None
        Arches at a time, in processes of their own; None: one a processor.  A script that asks for
        more than one needs ``if __name__ == "__main__":``.
    done : callable
        Called with how many arches are through.

    Raises
    ------
    ValueError
        If a name or a value is not what it should be.
    MissingPackage
        If a board is named, and Amaranth is not installed.
    """
    planned = plan_sweep(
        models,
        arrays=arrays,
        vary=vary,
        base=base,
        clocks=clocks,
        board=board,
        family=family,
        memory_rate=memory_rate,
        memory_latency=memory_latency,
    )
    for model in planned.models:
        load_network(model)
    return planned.run(jobs=jobs, done=done)
