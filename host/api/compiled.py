"""`arch` and `compile`: compile a network to a program for an accelerator."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from penstock.host.api.program_reasons import Reasons, ReasonsPart
from penstock.host.apps.arch_board import board_of
from penstock.host.compiler.compile import compile_choices, compile_network
from penstock.host.compiler.planning.cost import arch_of, predict
from penstock.host.compiler.planning.explain import (
    PLACEMENT_COLUMNS,
    explain,
    explain_placements,
    placement_rows,
    placements,
)
from penstock.host.compiler.planning.planner import Choice, plan_network
from penstock.host.compiler.planning.stages import STAGE_COLUMNS, bottleneck, stage_rows, stages
from penstock.host.program.program import Program
from penstock.host.report.layer_profile import LayerProfile, predicted_profile
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch
from penstock.models.spec.arch_file import find_arch
from penstock.models.spec.number_format import grouped, human, percent
from penstock.models.spec.plain_table import PlainTable

__all__ = ["Compiled", "arch", "compile_for", "cost_table", "load_program", "predicted_cycles"]

_COSTS = (
    *("layer", "cycles", "effic.", "padding", "input", "weights", "output", "read", "written"),
    *("act words", "psums", "out words"),
)


def arch(name: str, **changes: int) -> Arch:
    """Return an accelerator's parameters by name, with changes.

    Parameters
    ----------
    name : str
        A preset (`penstock.ARCHES`), or ROWSxCOLS such as ``8x8``.
    changes
        Parameters of `penstock.Arch` with other values: ``act_words=4096``.

    Raises
    ------
    ValueError
        If there is no such arch or parameter, or its value is not supported.
    """
    found = find_arch(name)
    known = [field for field in found.__dataclass_fields__ if field != "name"]
    for change in changes:
        if change not in known:
            raise ValueError(f"an arch has {', '.join(known)}, not {change!r}")
    if all(getattr(found, key) == value for key, value in changes.items()):
        return found
    # The name includes the changes, as messages, tables and saved programs show it.
    words = [name, *(f"{key}={value}" for key, value in changes.items())]
    return replace(found, name=",".join(words), **changes)


@dataclass(frozen=True, repr=False)
class Compiled:
    """A network and its program for an arch.

    Parameters
    ----------
    network : Network
    arch : Arch
    program : Program
        Program of the device: the layers before the first one that runs on the CPU.
    fc : str
        Where fully connected layers with ReLU run: ``"cpu"`` or ``"fpga"``.
    fixed : bool
        Whether the program was read from a file, and is never compiled again.
    choices : tuple of Choice
        What the compiler considered for each hardware layer; empty if `fixed`.
    """

    network: Network
    arch: Arch
    program: Program
    fc: str = "cpu"
    fixed: bool = False
    choices: tuple[Choice, ...] = field(default=(), compare=False)

    @property
    def layers_on_array(self) -> tuple[str, ...]:
        """Names of the network's layers that run on the accelerator."""
        return tuple(name for layer in self.program.layers for name in layer.covers)

    @property
    def layers_on_cpu(self) -> tuple[str, ...]:
        """Names of the network's layers that run on the CPU."""
        done = set(self.layers_on_array)
        return tuple(layer.name for layer in self.network.layers if layer.name not in done)

    def hardware_layer(self, name: str) -> str:
        """Return the name of the hardware layer that computes the network's layer `name`.

        Raises
        ------
        ValueError
            If the array computes no such layer; the message lists its layers.
        """
        for layer in self.program.layers:
            if name in layer.covers:
                return layer.name
        known = ", ".join(self.layers_on_array)
        raise ValueError(f"layer must be one of {known} (those on the accelerator), not {name!r}")

    @cached_property
    def traced(self) -> Compiled:
        """The same network compiled to store every layer's map, which costs cycles and memory.

        A program that was read from a file is returned as it is.
        """
        if self.fixed or set(self.layers_on_array) <= set(self.program.outputs):
            return self
        program = compile_network(
            self.network, self.arch, trace=True, batch=self.program.batch, fc=self.fc == "fpga"
        )
        return replace(self, program=program)

    def predict(self) -> LayerProfile:
        """Return the cycles, stalls and bytes of each layer that the cost model predicts."""
        return predicted_profile(self.program, self.arch)

    def explain(self, *, mhz: float | None = None, group: int = 1) -> Reasons:
        """Say what was considered for each layer and why it was taken, and what sets the rate.

        Parameters
        ----------
        mhz : float or None
            Clock that seconds are told for; None: of the board that has this arch, else 100.
        group : int
            Images whose CPU layers are done together.

        Raises
        ------
        ValueError
            If the program was read from a file, which does not say what else was considered.
        """
        if self.fixed:
            raise ValueError("a program from a file does not say what else was considered")
        board, batch = board_of(self.arch), self.program.batch
        clock = board.mhz if mhz is None else mhz
        parts = [
            ReasonsPart(each.layer, PlainTable(each.columns, each.rows, ("how",)), each.notes)
            for each in explain(self.choices, self.arch)
        ]
        places = placements(self.network, self.arch, batch=batch, mhz=clock)
        if places:
            table = PlainTable(PLACEMENT_COLUMNS, placement_rows(places))
            parts.append(ReasonsPart(explain_placements(batch, clock), table))
        found = stages(
            self.network, self.program, self.arch, mhz=clock, group=group, link=board.link
        )
        title = f"on {board.title}, where these stages work at the same time on different images:"
        table = PlainTable(STAGE_COLUMNS, stage_rows(found), ("basis",))
        parts.append(ReasonsPart(title, table, (bottleneck(found),)))
        return Reasons(tuple(parts))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file; `penstock.save` writes the network.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self.program.save(path)

    def __repr__(self) -> str:
        batch = f", batches of {self.program.batch}" if self.program.batch > 1 else ""
        return (
            f"<Compiled {self.network.name} for {self.arch.name} "
            f"({self.arch.rows}x{self.arch.cols}): "
            f"{len(self.layers_on_array)} layers on the array, "
            f"{len(self.layers_on_cpu)} on the CPU, "
            f"{human(self.program.arena_bytes, 'B')} of device memory{batch}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (layer.name, human(layer.macs), " ".join(layer.covers), layer.choice)
            for layer in self.program.layers
        ]
        names = ("hardware layer", "MACs", "does", "how")
        table = PlainTable(names, rows, ("does", "how"), title=repr(self)[1:-1])
        return table._repr_html_()


def compile_for(
    network: Network,
    arch: Arch | str = "lab",
    *,
    batch: int = 1,
    keep: str | None = None,
    fc: str = "cpu",
) -> Compiled:
    """Compile a quantised network for an accelerator.

    Parameters
    ----------
    network : Network
        Quantised: what `penstock.load` returns.
    arch : Arch or str
        A preset's name, ROWSxCOLS such as ``"8x8"``, or what `penstock.arch` returns.
    batch : int
        Images of one run.
    keep : str or None
        ``"all"``: store every layer's map; otherwise a variant that does is compiled when a run
        needs it.
    fc : str
        Where fully connected layers with ReLU run: ``"cpu"`` or ``"fpga"``.

    Raises
    ------
    CompileError
        If a layer does not fit the arch; the message names it, with need and capacity.
    ValueError
        If an option is invalid, or the network is still float.
    """
    if fc not in ("cpu", "fpga"):
        raise ValueError(f"fc must be cpu or fpga, not {fc!r}")
    if keep not in (None, "all"):
        raise ValueError(f"keep must be all or None, not {keep!r}")
    if network.is_float:
        raise ValueError(f"{network.name} is a float network: penstock.load quantises it")
    target = find_arch(arch) if isinstance(arch, str) else arch
    trace = keep == "all"
    choices = plan_network(network, target, batch=batch, trace=trace, fc=fc == "fpga")
    program = compile_choices(network, target, choices, trace=trace)
    return Compiled(network, target, program, fc, choices=tuple(choices))


def load_program(
    path: str | os.PathLike[str], network: Network, arch: Arch | str = "lab"
) -> Compiled:
    """Return a saved program with the network that it was compiled from.

    Parameters
    ----------
    path : path
    network : Network
    arch : Arch or str
        The arch it was compiled for.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no program, or one for another arch; the message names it.
    """
    target = find_arch(arch) if isinstance(arch, str) else arch
    program = Program.load(Path(path))
    if program.arch_fingerprint != target.fingerprint:
        raise ValueError(
            f"{path}: the program is for arch {program.arch_name} "
            f"({program.arch_fingerprint:016x}), the device is {target}"
        )
    return Compiled(network, target, program, fixed=True)


def predicted_cycles(program: Program, arch: Arch) -> int:
    """Return the cycles that the cost model predicts for a run of a program."""
    return sum(layer.cycles for layer in predict(program, arch))


def cost_table(program: Program) -> PlainTable | None:
    """Return what the cost model predicts of an image for each layer, with the buffers it takes.

    None if the program is for no arch of this version's, so that nothing is known of its sizes.
    ``padding``, ``input``, ``weights`` and ``output`` are cycles by cause; ``read`` and ``written``
    are bytes.
    """
    arch = arch_of(program)
    if arch is None:
        return None
    profile = predicted_profile(program, arch)
    rows = []
    for layer, cost in zip([*profile, profile.total], [*predict(program, arch), None]):
        counts = [layer.padding, *(layer.stalls[name] for name in ("input", "weights", "output"))]
        counts += [layer.read_bytes, layer.write_bytes]
        counts += [None] * 3 if cost is None else cost.buffers
        first = (layer.name, grouped(layer.cycles), percent(layer.efficiency))
        rows.append((*first, *map(grouped, counts)))
    return PlainTable(_COSTS, rows, total=True)
