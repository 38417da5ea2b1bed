"""`switch`: several networks on one device, and the cost of a switch between them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from penstock.host.api.compiled import Compiled, compile_for
from penstock.host.api.loading import load
from penstock.host.api.opened_device import Device
from penstock.host.api.switching import SWITCH_COLUMNS, SwitchCosts, switch_costs
from penstock.host.apps.model_switch import order
from penstock.host.cli.support.device_options import arch_for, check_device, default_arch, open_for
from penstock.host.cli.support.exit_status import bad_input
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
from penstock.host.report.json_report import as_file
from penstock.models.spec.arch import Arch

__all__ = ["switch_command"]

_NOTES = """\
Cycles from the start bit to done: fetching the first descriptors and loading the first tile, with
the array waiting, are in both columns, as every run begins with empty buffers. The switch is the
difference. Registers are written for every run; changed: those that a switch gives another value.
Host: a request without the run and the CPU layers. Load: what a network takes that is not resident
yet. Seconds are this machine's and vary; medians."""


def _table(costs: SwitchCosts) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in SWITCH_COLUMNS:
        justify: Any = "left" if name == "network" else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for row in costs.rows():
        table.add_row(*row)
    return table


def _prepare(names: Sequence[str], arch: Arch) -> dict[str, Compiled]:
    """Read the networks and compile them."""
    found = {}
    for name in names:
        with task(f"reading {name}") as progress, bad_input():
            network = load(name, progress=progress.say)
            progress.say(f"compiling {name}")
            found[name] = compile_for(network, arch)
    return found


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
        order(models, rounds)  # refuses before anything is read
    with ExitStack() as stack:
        output = None if json_file is None else stack.enter_context(OutputFile(json_file))
        prepared = _prepare(models, target)
        opened = stack.enter_context(Device.around(open_for(device, target, overlay, port=port)))
        costs = switch_costs(prepared, opened, rounds=rounds, working=task)
        size = f"{target.rows}x{target.cols}"
        print(f"{' and '.join(models)} resident on {device}, arch {target.name} ({size})")
        show(_table(costs))
        if not costs.counted:
            print("This device counts no cycles.")
        print(_NOTES)
        count = len(costs.requests)
        print(f"All {count} answers equal the first of their network, the golden model's.")
        if output is not None:
            output.commit(as_file(costs.to_json()))
