"""`export`: the core's Verilog for another design, with constraints and an example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, WorkError, bad_input, one_line
from penstock.host.cli.support.options import ArchOption
from penstock.host.cli.support.progress import task
from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.program.compile_error import CompileError
from penstock.models.golden.ops import run_quantised
from penstock.models.networks.scaled_down import SCALED_LAYERS, scaled_layer
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint

__all__ = ["example_program", "export"]

# Layers of AlexNet scaled down, the first that fits the arch: convolution and pooling first.
_LAYERS = ("conv5", *(name for name in SCALED_LAYERS if name != "conv5"))


def example_program(arch: Arch) -> Any:
    """Return the `hw.export.example.Example` of an arch: a small layer, and its golden result.

    Raises
    ------
    InputError
        If no layer fits the arch.
    """
    from penstock.hw.export.example import Example

    for name in _LAYERS:
        network = scaled_layer(name)
        try:
            program = compile_network(network, arch, trace=True)
        except CompileError as error:
            refusal = error
            continue
        codes = np.random.default_rng(1).integers(0, 256, network.input.shape, np.uint8)
        arena = np.zeros(program.arena_bytes, np.uint8)
        arena[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        for offset, data in program.pack_input(codes):
            arena[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        expected, mask = arena.copy(), np.zeros_like(arena)
        golden = run_quantised(network, codes)
        for layer, spec in program.outputs.items():
            for offset, data in spec.pack(golden[layer]):
                expected[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
            for offset, data in spec.pack(np.ones(spec.shape, np.uint8)):
                mask[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        return Example(
            what=f"{name} of AlexNet scaled down: {' and '.join(program.outputs)}",
            arena=arena,
            expected=expected,
            mask=mask,
            desc_offset=program.desc_offset,
            desc_count=program.desc_count,
            cycles=sum(layer.cycles for layer in predict(program, arch)),
        )
    raise InputError(f"arch {arch.name} is too small for the example: {refusal}")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    arch: ArchOption = "lab",
    mhz: Annotated[float, typer.Option("--mhz", help="The clock to constrain.")] = 100.0,
) -> None:
    """Write the core as Verilog, with ports, constraints, a LiteX module and an example."""
    target = arch_for(arch)
    try:
        from penstock.hw.core.accel import Accel
        from penstock.hw.export.folder_writer import MARK, export_files, write_files
        from penstock.sim.library.toolchain import ToolError
        from penstock.sim.library.verilog import to_verilog
    except ModuleNotFoundError as error:
        raise WorkError(f"the package {error.name} is missing: {install_hint('sim')}") from None
    if not mhz > 0:
        raise InputError(f"--mhz must be positive, not {mhz:g}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise InputError(f"{folder}: has other files in it: choose another folder")
    with task("compiling the example") as progress:
        with bad_input():
            example = example_program(target)
        progress.say("generating Verilog")
        try:
            core = Accel(arch=target)
            text = to_verilog(core, name="penstock")
        except ToolError as error:
            raise WorkError(one_line(error)) from None
        texts = export_files(core, text, example, mhz=mhz)
        write_files(folder, texts)
    print(f"arch {target}: {len(texts)} files in {folder}")
    print(f"ports and timing: {folder / 'ports.md'}; example: sh {folder / 'example' / 'run.sh'}")
