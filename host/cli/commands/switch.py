"""`switch`: several networks on one device, and the cost of a switch between them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table

from penstock.host.apps.model_switch import Request, Switch, difference, order, requests, summary
from penstock.host.cli.support.device_options import arch_for, check_device, default_arch, open_for
from penstock.host.cli.support.exit_status import WorkError, bad_input
from penstock.host.cli.support.layer_table import show
from penstock.host.cli.support.options import (
    DeviceArchOption,
    DeviceOption,
    JsonOption,
    OverlayOption,
    PortOption,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.compiler.compile import compile_network
from penstock.host.inputs.catalog import load_network, sample_input
from penstock.host.program.program import Program
from penstock.host.report.json_report import as_file, switch_json
from penstock.host.runtime.resident import Resident
from penstock.host.runtime.session import Result, compare_maps
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import Network
from penstock.models.spec import number_format
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import human

__all__ = ["switch_command"]

_COLUMNS = (
    "network",
    "memory",
    "cycles after itself",
    "cycles after another",
    "switch",
    "registers written",
    "registers changed",
    "host after itself",
    "host after another",
    "load",
)

_NOTES = """\
Cycles from the start bit to done: fetching the first descriptors and loading the first tile, with
the array waiting, are in both columns, as every run begins with empty buffers. The switch is the
difference. Registers are written for every run; changed: those that a switch gives another value.
Host: a request without the run and the CPU layers. Load: what a network takes that is not resident
yet. Seconds are this machine's and vary; medians."""


def _thousands(value: int | None) -> str:
    return number_format.grouped(value)


def _table(
    switches: Sequence[Switch], memory: Mapping[str, int], loads: Mapping[str, float]
) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        justify: Any = "left" if name == "network" else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for each in switches:
        table.add_row(
            each.name,
            human(memory[each.name], "B"),
            _thousands(each.cycles_after_itself),
            _thousands(each.cycles_after_another),
            _thousands(each.cycles),
            str(each.register_writes),
            str(each.register_changes),
            f"{each.host_seconds_after_itself * 1e3:.1f} ms",
            f"{each.host_seconds_after_another * 1e3:.1f} ms",
            f"{loads[each.name] * 1e3:.1f} ms",
        )
    return table


def _prepare(names: Sequence[str], arch: Arch) -> dict[str, tuple[Network, Program]]:
    """Read the networks and compile them."""
    found = {}
    for name in names:
        with task(f"reading {name}") as progress, bad_input():
            network = load_network(name, progress=progress.say)
            progress.say(f"compiling {name}")
            found[name] = network, compile_network(network, arch)
    return found


def _check_golden(name: str, network: Network, codes: NDArray[np.uint8], result: Result) -> None:
    """Fail if a first answer is not the golden model's."""
    with task(f"the golden model of {name}"):
        wrong = compare_maps(result.maps, run_quantised(network, codes))
    if wrong:
        raise WorkError(f"{name}: {wrong[0]}")


def switch_command(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL MODEL...", help="Networks by name, or saved.")
    ],
    device: DeviceOption = "rtl",
    arch: DeviceArchOption = None,
    overlay: OverlayOption = None,
    port: PortOption = None,
    rounds: Annotated[
        int,
        typer.Option("--rounds", min=1, help="Times that each network follows each, and itself."),
    ] = 1,
    json_file: JsonOption = None,
) -> None:
    """Keep networks resident on one device and measure the cost of a switch between them."""
    check_device(device)
    target = arch_for(default_arch(device) if arch is None else arch)
    with bad_input():
        names = order(models, rounds)
    with ExitStack() as stack:
        output = None if json_file is None else stack.enter_context(OutputFile(json_file))
        prepared = _prepare(models, target)
        inputs = {name: sample_input(network)[1] for name, (network, _) in prepared.items()}
        opened = stack.enter_context(open_for(device, target, overlay, port=port))
        resident = stack.enter_context(Resident(opened))
        loads: dict[str, float] = {}
        for name, (network, program) in prepared.items():
            with task(f"loading {name}"):
                begin = time.perf_counter()
                resident.add(name, network, program)
                loads[name] = time.perf_counter() - begin
        made: list[Request] = []
        first: dict[str, Result] = {}
        stream = requests(resident, inputs, names)
        for index, name in enumerate(names):
            with task(f"request {index + 1} of {len(names)}: {name} on {device}"):
                request = next(stream)
            made.append(request)
            if name not in first:
                first[name] = request.result
                _check_golden(name, prepared[name][0], inputs[name], request.result)
            wrong = difference(first[name], request.result)
            if wrong is not None:
                raise WorkError(f"request {index + 1}, {name} after {request.after}: {wrong}")
        switches = summary(made)
        size = f"{target.rows}x{target.cols}"
        print(f"{' and '.join(models)} resident on {device}, arch {target.name} ({size})")
        show(_table(switches, resident.memory, loads))
        if switches[0].cycles is None:
            print("This device counts no cycles.")
        print(_NOTES)
        print(f"All {len(made)} answers equal the first of their network, the golden model's.")
        if output is not None:
            programs = {name: program for name, (_, program) in prepared.items()}
            report = switch_json(opened, made, switches, programs, loads)
            output.commit(as_file(report))
