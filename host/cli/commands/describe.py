"""`describe`: write the `.hwh` of a bitstream made by another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.host.cli.support.device_options import arch_for
from penstock.host.cli.support.exit_status import InputError, bad_input
from penstock.host.cli.support.options import ArchOption
from penstock.host.cli.support.output_file import OutputFile
from penstock.models.zynq.bitfile import read_bit
from penstock.models.zynq.hwh import PART, divisors
from penstock.models.zynq.overlay import describe

__all__ = ["describe_command"]


def describe_command(
    bit: Annotated[Path, typer.Argument(metavar="BIT", help="A .bit file for a PYNQ board.")],
    mhz: Annotated[float, typer.Option("--mhz", help="The fastest clock it was built for.")],
    arch: ArchOption = "pynq-z2",
) -> None:
    """Write the .hwh of a bitstream that another tool built from these sources."""
    target = arch_for(arch)
    with bad_input():
        try:
            found = read_bit(bit.read_bytes())
        except ValueError as error:
            raise InputError(f"{bit}: {error}") from None
        if not PART.removeprefix("xc").startswith(found.part.removeprefix("xc").split("-")[0]):
            raise InputError(f"{bit}: the bitstream is for {found.part}, the boards have {PART}")
        handoff, text = describe(found, arch=target, divisors=divisors(mhz), part=PART)
        with OutputFile(bit.with_suffix(".hwh")) as output:
            output.commit(text.encode())
    print(f"{bit.with_suffix('.hwh')}: arch {target}, to be run at {handoff.fclk_mhz:.2f} MHz")
