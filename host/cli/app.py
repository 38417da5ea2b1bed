"""The command line: its commands, and how every failure becomes one line and an exit status."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from penstock.host.cli.commands.bitstream import bitstream
from penstock.host.cli.commands.classify import classify
from penstock.host.cli.commands.describe import describe_command
from penstock.host.cli.commands.doctor import doctor
from penstock.host.cli.commands.explore import explore
from penstock.host.cli.commands.export import export
from penstock.host.cli.commands.profile import profile
from penstock.host.cli.commands.program_files import compile_model, inspect
from penstock.host.cli.commands.quantize import quantize
from penstock.host.cli.commands.screen import screen
from penstock.host.cli.commands.selftest import selftest_command
from penstock.host.cli.commands.simulate import simulate
from penstock.host.cli.commands.switch import switch_command
from penstock.host.cli.commands.watch import watch
from penstock.host.cli.interrupts import asked_to_end, terminable
from penstock.host.cli.support.exit_status import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    InputError,
    WorkError,
    one_line,
)
from penstock.host.cli.support.usage_error import usage_message
from penstock.host.devices.device import DeviceError
from penstock.host.report.missing_package import MissingPackage
from penstock.models.graph.import_check import ImportMismatch

__all__ = ["app", "run"]

app = typer.Typer(
    name="penstock",
    help="Convolutional networks on an FPGA accelerator, or on its simulation.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"penstock {importlib.metadata.version('penstock')}")
        raise typer.Exit


@app.callback()
def _penstock(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Convolutional networks on an FPGA accelerator, or on its simulation."""


# Commands with their summaries in the list of commands; their own help says more.
_COMMANDS = (
    ("classify", classify, "Classify photographs."),
    ("profile", profile, "Measure where the cycles of each layer go."),
    ("compile", compile_model, "Compile a network for an arch."),
    ("inspect", inspect, "Show what is in a program or a saved network."),
    ("quantize", quantize, "Quantise a float ONNX file on a folder of images."),
    ("screen", screen, "Find the images that show a QR code."),
    ("simulate", simulate, "Simulate one scaled-down layer in cocotb."),
    ("explore", explore, "Compare arrays, buffers and clocks for a network."),
    ("export", export, "Write the core's Verilog for another design."),
    ("bitstream", bitstream, "Build a board's bitstream, and check it."),
    ("describe", describe_command, "Write the .hwh of a bitstream made elsewhere."),
    ("watch", watch, "Classify pictures as they arrive."),
    ("switch", switch_command, "Measure the cost of a switch between networks."),
    ("selftest", selftest_command, "Test a device."),
    ("doctor", doctor, "Check what is installed on this machine."),
)


class _Command(TyperCommand):
    """A command whose help shows the type of an item where Typer shows ``<list[Path]>``."""

    def get_help(self, ctx: Any) -> str:
        def item(found: re.Match[str]) -> str:
            return f"<{found[1].lower()}>".ljust(len(found[0]))

        return re.sub(r"<list\[(\w+)\]>", item, super().get_help(ctx))


for _name, _command, _summary in _COMMANDS:
    app.command(_name, cls=_Command, short_help=_summary)(_command)


def _fail(message: str, status: int) -> int:
    if asked_to_end():  # whatever the interrupted code made of it
        message, status = "interrupted", EXIT_INTERRUPTED
    print(f"penstock: {message}", file=sys.stderr)
    return status


def _unexpected(error: Exception) -> int:
    """Report an internal error."""
    if os.environ.get("PENSTOCK_DEBUG"):
        traceback.print_exc()
    hint = "" if os.environ.get("PENSTOCK_DEBUG") else " (PENSTOCK_DEBUG=1 shows where)"
    return _fail(f"internal error: {type(error).__name__}: {one_line(error)}{hint}", EXIT_FAILED)


def _stream(error: OSError) -> str:
    """Name standard output if it is what cannot be written: the error has no file name then."""
    if error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
        try:
            print(flush=True)
        except OSError:
            return "standard output: "
    return ""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status: 0 done, 1 the work failed, 2 bad input."""
    try:
        with terminable():
            status = app(list(arguments) or ["--help"], prog_name="penstock", standalone_mode=False)
        if status == EXIT_INTERRUPTED:  # Typer converts a KeyboardInterrupt to this
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except InputError as error:
        return _fail(one_line(error), EXIT_USAGE)
    except (WorkError, DeviceError, MissingPackage, ImportMismatch) as error:
        return _fail(one_line(error), EXIT_FAILED)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of the output has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except MemoryError:
        return _fail("not enough memory", EXIT_FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else _stream(error)
        return _fail(f"{where}{error.strerror or error}", EXIT_FAILED)
    except Exception as error:
        # Typer's usage errors have no common public base class in all its versions.
        message = getattr(error, "format_message", None)
        if callable(message):
            return _fail(usage_message(error, str(message())), EXIT_USAGE)
        return _unexpected(error)
