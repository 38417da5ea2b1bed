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

from penstock.host.api.compiled import compile_for, cost_table
from penstock.host.api.loading import load
from penstock.host.api.program_reasons import Reasons
from penstock.host.cli.support import fitted
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.option_groups import grouped
from penstock.host.cli.support.options import (
    ArchOption,
    LabelsOption,
    NoVerifyOption,
    RunOptions,
    WeightsOption,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.program.program import MAGIC, Program
from penstock.models.graph import store
from penstock.models.graph.graph import Network
from penstock.models.graph.summary import network_table, weight_count
from penstock.models.spec.arch import ARCHES
from penstock.models.spec.number_format import human
from penstock.models.spec.plain_table import PlainTable

__all__ = ["compile_model", "inspect"]


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
    no_verify: NoVerifyOption = False,
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
    with ExitStack() as stack:
        file = stack.enter_context(OutputFile(output))
        second = None if save_network is None else stack.enter_context(OutputFile(save_network))
        with task("reading the network") as progress, bad_input():
            network = load(
                model,
                weights=weights,
                labels=labels,
                verify=not no_verify,
                progress=progress.say,
            )
            progress.say("compiling")
            compiled = compile_for(
                network, target, batch=run.batch, keep="all" if trace else None, fc=run.fc
            )
            reasons = compiled.explain(mhz=mhz, group=run.group) if why else None
        if second is not None:
            second.commit(lambda path: store.save(network, path))
        file.commit(compiled.save)
    if network.check is not None:
        print(f"{model}: {network.check}")
    if reasons is not None:
        _print_reasons(reasons)
    _print_program(compiled.program)


def _show(table: PlainTable) -> None:
    """Print a table that fits."""
    columns = [fitted.Column(name, text=name in table.words) for name in table.columns]
    fitted.show(fitted.Rows(columns, table.rows, total=table.total))


def _print_reasons(reasons: Reasons) -> None:
    for part in reasons:
        print(fitted.fill(part.title))
        _show(part.table)
        for note in part.notes:
            print(fitted.fill(note))
        if part.notes:
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
    costs = cost_table(program)
    if costs is None:
        return
    print("predicted cycles, stalls and bytes of an image:")
    _show(costs)
    for layer in program.layers:
        print(f"  {layer.name}: {layer.choice}")


def _print_network(network: Network) -> None:
    print(f"network {network.name}, {human(weight_count(network))} weights")
    print(f"weights: {network.source or 'of unknown origin'}")
    print(f"digest: {store.digest(network)[:16]}")
    if network.check is not None:
        print(f"import: {network.check}")
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
