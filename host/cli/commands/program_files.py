"""`compile` and `inspect`: programs and saved networks as files."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.host.cli.commands.classify import (
    ArchOption,
    BatchOption,
    FcOption,
    GroupOption,
    LabelsOption,
    WeightsOption,
    on_array,
)
from penstock.host.cli.support.arch_board import board_of
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import bad_input
from penstock.host.cli.support.fitted import Column, Rows, show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.compiler.compile import compile_choices
from penstock.host.compiler.planning.explain import (
    COST_COLUMNS,
    cost_rows,
    explain,
    explain_placements,
    placements,
)
from penstock.host.compiler.planning.planner import plan_network
from penstock.host.compiler.planning.stages import explain_stages, stages
from penstock.host.inputs.catalog import load_network
from penstock.host.program.program import MAGIC, Program
from penstock.models.graph import store
from penstock.models.graph.graph import MaxPool, Network, infer_shapes, macs
from penstock.models.spec.arch import ARCHES
from penstock.models.spec.number_format import human

__all__ = ["compile_model", "inspect"]


def compile_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network by name, or saved.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The program file.")],
    arch: ArchOption = "lab",
    trace: Annotated[
        bool, typer.Option("--trace", help="Store every feature map, for classify --check.")
    ] = False,
    weights: WeightsOption = None,
    labels: LabelsOption = None,
    save_network: Annotated[
        Path | None, typer.Option("--save-network", help="Save the quantised network as well.")
    ] = None,
    batch: BatchOption = 1,
    fc: FcOption = "cpu",
    why: Annotated[
        bool, typer.Option("--explain", help="Say what was considered, and why it was taken.")
    ] = False,
    mhz: Annotated[
        float | None,
        typer.Option("--mhz", help="Clock that --explain tells seconds for; default the board's."),
    ] = None,
    group: GroupOption = 1,
) -> None:
    """Compile a network for an arch and write the program."""
    target = arch_for(arch)
    array = on_array(fc)
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
            choices = plan_network(network, target, batch=batch, trace=trace, fc=array)
            program = compile_choices(network, target, choices, trace=trace)
            text = explain(choices, target) if why else ""
            places = placements(network, target, batch=batch, mhz=clock) if why else []
            found = []
            if why:
                found = stages(network, program, target, mhz=clock, group=group, link=board.link)
        if second is not None:
            second.commit(lambda path: store.save(network, path))
        file.commit(program.to_bytes())
    if why:
        print(text)
        if places:
            print(explain_placements(places, batch, clock))
        print(explain_stages(found, board.title))
    _print_program(program)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A program or a saved network.")],
) -> None:
    """Say what is in a program or in a saved network."""
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
    rows = []
    for layer in program.layers:
        stored = [
            f"{name} {'x'.join(map(str, program.outputs[name].shape))}"
            for name in layer.covers
            if name in program.outputs
        ]
        rows.append((layer.name, human(layer.macs), " ".join(layer.covers), ", ".join(stored)))
    columns = [Column("layer"), Column("MACs")]
    show(Rows([*columns, Column("does", text=True), Column("stores", text=True)], rows))


def _print_costs(program: Program) -> None:
    """What the cost model predicts, and how each layer is done."""
    rows = cost_rows(program)
    if not rows:
        return
    print("predicted cycles, stalls and bytes:")
    show(Rows([Column(name) for name in COST_COLUMNS], rows, total=True))
    for layer in program.layers:
        print(f"  {layer.name}: {layer.choice}")


def _describe(layer: Any) -> str:
    """A layer's geometry in a few words."""
    geometry = getattr(layer, "geometry", None)
    if geometry is None:
        return ""
    kernel, stride, pad = geometry.kernel, geometry.stride, geometry.pad
    words = [f"{kernel[0]}x{kernel[1]}", f"stride {stride[0]}"]
    if stride[0] != stride[1]:
        words[-1] += f"x{stride[1]}"
    if any(pad):
        words.append(f"pad {pad[0]}" if len(set(pad)) == 1 else f"pad {','.join(map(str, pad))}")
    if not isinstance(layer, MaxPool) and geometry.groups > 1:
        words.append(f"{geometry.groups} groups")
    return ", ".join(words)


def _print_network(network: Network) -> None:
    shapes, counts = infer_shapes(network), macs(network)
    weights = sum(layer.weight.size for layer in network.layers if hasattr(layer, "weight"))
    print(f"network {network.name}, {human(weights)} weights")
    print(f"weights: {network.source or 'of unknown origin'}")
    spec = network.input
    print(
        f"input {'x'.join(map(str, spec.shape))} {spec.order}, shorter side {spec.resize}, "
        f"scale {spec.scale:g}, zero {spec.zero}; {len(network.labels)} labels"
    )
    rows = [
        (
            layer.name,
            type(layer).__name__,
            _describe(layer),
            "x".join(map(str, shapes[layer.name])),
            human(counts[layer.name]) if layer.name in counts else "",
        )
        for layer in network.layers
    ]
    columns = [Column("layer"), Column("kind", text=True), Column("geometry", text=True)]
    show(Rows([*columns, Column("output"), Column("MACs")], rows))
