"""`simulate`: one layer on the core, against the golden model, with waves.

Layers of AlexNet scaled down run in cocotb; a layer of any network, as large as it is, on the `rtl`
device, which is a thousand times faster.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.api.compiled import predicted_cycles
from penstock.host.api.loading import load
from penstock.host.apps.layer_check import LayerCase, LayerWrong
from penstock.host.apps.open_device import open_device
from penstock.host.apps.single_layer import single_layer
from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input, one_line
from penstock.host.cli.support.layer_table import layer_table, show
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.cli.support.progress import task
from penstock.host.devices.device import RunLog
from penstock.host.program.program import Program
from penstock.host.report.layer_profile import measured_profile
from penstock.host.waves.wave_layout import SUFFIX, write_layout
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint

__all__ = ["simulate"]

# Time limit of a simulation in seconds; with waves it may take hours.
_TIMEOUT = 4 * 3600.0


def _bench_error(error: AssertionError) -> str:
    """Return the line of a simulation's log with the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if os.environ.get("PENSTOCK_DEBUG"):
        print(error, file=sys.stderr)
    telling = [line for line in lines if re.match(r"\w*(Error|Failure): ", line)]
    return " ".join((telling or lines or ["the simulation failed"])[-1].split())


def _keep_waves(output: OutputFile) -> None:
    """Give a waveform its name, and write a layout beside it."""
    output.keep()
    with bad_input():
        write_layout(output.path)


def _say_waves(waves: Path) -> None:
    shown = waves.with_suffix(SUFFIX)
    print(f"waves: {waves}, in groups: gtkwave {waves} {shown}")


def _shapes(program: Program) -> str:
    return ", ".join(
        f"{name} {'x'.join(map(str, spec.shape))}" for name, spec in program.outputs.items()
    )


def _simulate_model(model: str, layer: str, arch: Arch, waves: Path | None) -> None:
    """Simulate the hardware layer that computes `layer` of a network, with its own weights and
    input.

    Raises
    ------
    WorkError
        If the result differs from the golden model's.
    """
    with ExitStack() as stack:
        output = None if waves is None else stack.enter_context(OutputFile(waves))
        with task("reading the network") as progress, bad_input():
            network = load(model, progress=progress.say)
            progress.say(f"cutting out {layer}")
            case = single_layer(network, layer, arch)
        cycles = predicted_cycles(case.program, arch)
        print(f"{case.network.name} on rtl, arch {arch.name}: {_shapes(case.program)}")
        print(f"predicted: {cycles} cycles", flush=True)
        options = {} if output is None else {"waves": output.temporary}
        with task("building the simulator") as progress:
            device = open_device("rtl", arch, progress=progress.say, **options)
        try:
            with device, task(f"simulating {cycles} cycles"):
                outcome = case.run(device, timeout=_TIMEOUT)
        except LayerWrong as error:
            print("bit-exact with the golden model: no")
            raise WorkError(str(error)) from None
        finally:
            if output is not None:
                _keep_waves(output)
    assert outcome.log is not None
    profile = measured_profile(case.program, [outcome.log], arch, device="rtl")
    show(layer_table(profile, profile.total))
    if output is not None:
        _say_waves(output.path)
    print("bit-exact with the golden model: yes")


def simulate(
    layer: Annotated[
        str | None, typer.Argument(metavar="[LAYER]", help=", ".join(SCALED_LAYERS))
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="A network by name, saved or ONNX, instead of LAYER."),
    ] = None,
    of_model: Annotated[
        str | None, typer.Option("--layer", help="The layer of --model to simulate.")
    ] = None,
    arch: Annotated[
        str, typer.Option("--arch", help="tiny, a small ROWSxCOLS, or a .toml file.")
    ] = "tiny",
    simulator: Annotated[
        str, typer.Option("--simulator", help="verilator or icarus, for LAYER.")
    ] = "verilator",
    waves: Annotated[
        Path | None,
        typer.Option(
            "--waves",
            help="Write every signal of every cycle to this FST file, and a layout beside it.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the input and the stalls.")] = 1,
) -> None:
    """Simulate one layer, of AlexNet scaled down or of --model, against the golden model."""
    target = arch_for(arch)
    if waves is not None and waves.suffix == SUFFIX:
        raise InputError(f"--waves: {SUFFIX} is the layout that is written beside the waveform")
    if waves is not None and waves.exists() and not waves.is_file():
        # The simulators replace the file, which would be the end of /dev/null.
        raise InputError(f"{waves}: waves must go to a regular file")
    if (layer is None) == (model is None) or (model is None) != (of_model is None):
        raise InputError(f"either LAYER, one of {', '.join(SCALED_LAYERS)}, or --model and --layer")
    if model is not None and of_model is not None:
        _simulate_model(model, of_model, target, waves)
        return
    if layer not in SCALED_LAYERS:
        raise InputError(f"layer must be one of {', '.join(SCALED_LAYERS)}, not {layer!r}")
    try:
        from penstock.sim.bench.runner import SIMULATORS, BenchError
        from penstock.sim.bench.simulate import simulate as simulate_layer
        from penstock.sim.library.toolchain import ToolError
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    if simulator not in SIMULATORS:
        raise InputError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    with ExitStack() as stack:
        output = None if waves is None else stack.enter_context(OutputFile(waves))
        progress = stack.enter_context(task(f"making {layer} scaled down"))
        with bad_input():
            case = LayerCase.make(layer, target, seed=seed)
        program = case.program
        try:
            result = simulate_layer(
                target,
                case.memory(),
                desc_offset=program.desc_offset,
                desc_count=program.desc_count,
                simulator=simulator,
                waves=None if output is None else output.temporary,
                seed=seed,
                progress=progress.say,
            )
        except BenchError as error:
            raise WorkError(_bench_error(error)) from None
        except ToolError as error:
            raise WorkError(one_line(error)) from None
        if output is not None:
            _keep_waves(output)
    print(f"{layer} scaled down on {simulator}, arch {target.name}: {_shapes(program)}")
    log = RunLog(result.entries, result.totals)
    profile = measured_profile(program, [log], target, device=simulator)
    show(layer_table(profile, profile.total))
    if output is not None:
        _say_waves(output.path)
    try:
        case.compare(lambda offset, size: result.memory[offset : offset + size])
    except LayerWrong as error:
        print("bit-exact with the golden model: no")
        raise WorkError(str(error)) from None
    print("bit-exact with the golden model: yes")
