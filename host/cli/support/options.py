"""Options of several commands, and groups of options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from penstock.host.cli.support.exit_status import InputError
from penstock.host.devices.serial.serial_board import SERIAL_DEVICES
from penstock.host.inputs.catalog import MODELS

__all__ = [
    "ArchOption",
    "BatchOption",
    "DeviceArchOption",
    "DeviceOption",
    "DeviceOptions",
    "FcOption",
    "GroupOption",
    "JobsOption",
    "JsonOption",
    "LabelsOption",
    "ModelOption",
    "NetworkOptions",
    "NoVerifyOption",
    "OverlayOption",
    "PortOption",
    "RunOptions",
    "VerifyOption",
    "WeightsOption",
]

ModelOption = Annotated[
    str, typer.Option("--model", help=f"{', '.join(MODELS)}, or a saved network.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help=f"rtl, functional, pynq-sim, or a board: pynq, {', '.join(SERIAL_DEVICES)}.",
    ),
]
ArchOption = Annotated[
    str,
    typer.Option("--arch", help="lab, pynq-z2, tiny, ROWSxCOLS such as 12x32, or a .toml file."),
]
DeviceArchOption = Annotated[
    str | None,
    typer.Option(
        "--arch", help="lab, ..., tiny, ROWSxCOLS such as 12x32, a .toml file; default the board's."
    ),
]
OverlayOption = Annotated[
    Path | None,
    typer.Option("--overlay", help="The .bit file for a board; its .hwh lies beside it."),
]
PortOption = Annotated[
    str | None, typer.Option("--port", help="The board's serial port, such as /dev/ttyUSB0.")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Write the report to this file; - is standard output, alone then."),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        help="Simulated devices at a time; default: as many as there are processors.",
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Trained float weights: .npz or .onnx.")
]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", help="A text file with one class to a line.")
]
NoVerifyOption = Annotated[
    bool,
    typer.Option(
        "--no-verify", help="Do not compare an ONNX file's network with what onnxruntime computes."
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Images of one run.")]
GroupOption = Annotated[
    int, typer.Option("--group", min=1, help="Images whose CPU layers run together.")
]
FcOption = Annotated[
    str, typer.Option("--fc", help="Where fully connected layers with ReLU run: cpu or fpga.")
]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify", help="Read program, weights and inputs back from the device and compare."
    ),
]


@dataclass(frozen=True)
class NetworkOptions:
    """Options for the network."""

    model: ModelOption = "alexnet"
    weights: WeightsOption = None
    labels: LabelsOption = None
    no_verify: NoVerifyOption = False


@dataclass(frozen=True)
class DeviceOptions:
    """Options for the device."""

    device: DeviceOption = "rtl"
    arch: DeviceArchOption = None
    overlay: OverlayOption = None
    port: PortOption = None
    verify: VerifyOption = False


@dataclass(frozen=True)
class RunOptions:
    """Options for running images.

    Raises
    ------
    InputError
        If `fc` is neither cpu nor fpga.
    """

    batch: BatchOption = 1
    fc: FcOption = "cpu"
    group: GroupOption = 1

    def __post_init__(self) -> None:
        if self.fc not in ("cpu", "fpga"):
            raise InputError(f"--fc must be cpu or fpga, not {self.fc!r}")
