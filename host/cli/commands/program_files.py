"""`compile` and `inspect`: programs and saved networks as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from penstock.host.cli.support import fitted
from penstock.host.cli.support.arch_board import board_of
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.option_groups import grouped
from penstock.host.cli.support.options import (
    ArchOption,
    LabelsOption,
    RunOptions,
    WeightsOption,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.compiler.compile import compile_choices
from penstock.host.compiler.planning.cost import arch_of, predict
from penstock.host.compiler.planning.explain import (
    PLACEMENT_COLUMNS,
    Explanation,
    explain,
    explain_placements,
    placement_rows,
    placements,
)
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.compiler.planning.stages import STAGE_COLUMNS, bottleneck, stage_rows, stages
from penstock.host.inputs.catalog import load_network
from penstock.host.program.program import MAGIC, Program
from penstock.host.report.layer_profile import predicted_profile
from penstock.models.graph import store
from penstock.models.graph.graph import Network
from penstock.models.graph.summary import network_table, weight_count
from penstock.models.spec import number_format
from penstock.models.spec.arch import ARCHES
from penstock.models.spec.number_format import human

__all__ = ["compile_model", "inspect"]

_COSTS = (
    *("layer", "cycles", "effic.", "padding", "input", "weights", "output", "read", "written"),
    *("act words", "psums", "out words"),
)


def _table(names: Sequence[str], left: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        justify: Any = "left" if name in left else "right"
        table.add_column(name, justify=justify, overflow="fold")
    return table


@grouped
def compile_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network by name, or saved.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The program file.")],
    run: RunOptions,
    arch: ArchOption = "lab",
    trace: Annotated[
        bool, typer.Option("--trace", help="Store every feature map, for classify --check.")
    ] = False,
    weights: WeightsOption = None,
    labels: LabelsOption = None,
    save_network: Annotated[
        Path | None, typer.Option("--save-network", help="Save the quantised network as well.")
    ] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show the mappings considered and the reason for each choice."
        ),
    ] = False,
    mhz: Annotated[
        float | None,
        typer.Option("--mhz", help="Clock that --explain tells seconds for; default the board's."),
    ] = None,
) -> None:
    """Compile a network for an arch and write the program."""
    target = arch_for(arch)
    board = board_of(target)
    clock = board.mhz if mhz is None else mhz
    with ExitStack() as stack:
        file = stack.enter_context(OutputFile(output))
        second = None if save_network is None else stack.enter_context(OutputFile(save_network))
        with task("reading the network") as progress, bad_input():
            network = load_network(
                model, weights_file=weights, labels_file=labels, progress=progress.say
            )
            progress.say("compiling")
            choices = plan_network(
                network, target, batch=run.batch, trace=trace, fc=run.fc == "fpga"
            )
            program = compile_choices(network, target, choices, trace=trace)
            explanations = explain(choices, target) if why else []
            places = placements(network, target, batch=run.batch, mhz=clock) if why else []
            found = (
                stages(network, program, target, mhz=clock, group=run.group, link=board.link)
                if why
                else []
            )
        if second is not None:
            second.commit(lambda path: store.save(network, path))
        file.commit(program.to_bytes())
    if why:
        for explanation in explanations:
            _print_explanation(explanation)
        if places:
            print(fitted.fill(explain_placements(run.batch, clock)))
            _show_rows(PLACEMENT_COLUMNS, placement_rows(places))
        text = f"on {board.title}, where these stages work at the same time on different images:"
        print(fitted.fill(text))
        _show_rows(STAGE_COLUMNS, stage_rows(found), texts=["basis"])
        print(fitted.fill(bottleneck(found)))
        print()
    _print_program(program)


def _show_rows(
    names: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str] = ()
) -> None:
    """Print a table; the columns in `texts` hold words."""
    columns = [fitted.Column(name, text=name in texts) for name in names]
    fitted.show(fitted.Rows(columns, rows))


def _print_explanation(explanation: Explanation) -> None:
    """The candidates for a layer, in a table that fits."""
    print(fitted.fill(explanation.layer))
    _show_rows(explanation.columns, explanation.rows, texts=["how"])
    for note in explanation.notes:
        print(fitted.fill(note))
    print()


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A program or a saved network.")],
) -> None:
    """Show what is in a program or a saved network."""
    with bad_input():
        with file.open("rb") as opened:
            is_program = opened.read(len(MAGIC)) == MAGIC
        if is_program:
            program = Program.load(file)
            operations = [op for op, _ in program.descriptors()]
        else:
            network = store.load(file)
    if is_program:
        _print_program(program)
        _print_costs(program)
        counts = Counter(op.name for op in operations)
        print("descriptors: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    else:
        _print_network(network)


def _print_program(program: Program) -> None:
    known = next(
        (a.name for a in ARCHES.values() if a.fingerprint == program.arch_fingerprint), None
    )
    arch = f"{program.arch_name} ({program.arch_fingerprint:016x})"
    if known is None and program.arch_name in ARCHES:
        arch += f", which is not this version's {program.arch_name}"
    batch = "" if program.batch == 1 else f", batches of {program.batch} images"
    print(f"program of {program.model} for arch {arch}{batch}")
    print(
        f"{program.desc_count} descriptors, image {human(len(program.image), 'B')}, "
        f"device memory {human(program.arena_bytes, 'B')}"
    )
    table = _table(["layer", "MACs", "does", "stores"], ["layer", "does", "stores"])
    for layer in program.layers:
        stored = [
            f"{name} {'x'.join(map(str, program.outputs[name].shape))}"
            for name in layer.covers
            if name in program.outputs
        ]
        table.add_row(layer.name, human(layer.macs), " ".join(layer.covers), ", ".join(stored))
    show(table)


def _print_costs(program: Program) -> None:
    """What the cost model predicts, and how each layer is done."""
    arch = arch_of(program)
    if arch is None:
        return
    profile = predicted_profile(program, arch)
    rows = []
    for layer, cost in zip([*profile, profile.total], [*predict(program, arch), None]):
        counts = [layer.padding, *(layer.stalls[name] for name in ("input", "weights", "output"))]
        counts += [layer.read_bytes, layer.write_bytes]
        counts += [None] * 3 if cost is None else cost.buffers
        first = (layer.name, number_format.grouped(layer.cycles))
        share = number_format.percent(layer.efficiency)
        rows.append((*first, share, *map(number_format.grouped, counts)))
    print("predicted cycles, stalls and bytes of an image:")
    columns = [fitted.Column(name) for name in _COSTS]
    fitted.show(fitted.Rows(columns, rows, total=True))
    for hardware in program.layers:
        print(f"  {hardware.name}: {hardware.choice}")


def _print_network(network: Network) -> None:
    print(f"network {network.name}, {human(weight_count(network))} weights")
    print(f"weights: {network.source or 'of unknown origin'}")
    print(f"digest: {store.digest(network)[:16]}")
    spec = network.input
    print(
        f"input {'x'.join(map(str, spec.shape))} {spec.order}, shorter side {spec.resize}, "
        f"scale {spec.scale:g}, zero {spec.zero}; {len(network.labels)} labels"
    )
    layers = network_table(network)
    table = _table(layers.columns, ["layer", *layers.words])
    for row in layers.rows:
        table.add_row(*row)
    show(table)
