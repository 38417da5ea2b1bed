"""The command `penstock`: starts the command line if what it needs is installed."""

from __future__ import annotations

import atexit
import io
import os
import sys

from penstock.host.cli.interrupts import asked_to_end, end_on_signals, ignore_signals
from penstock.models.spec.install_hint import install_hint

__all__ = ["main"]

# As host.cli.support.exit_status has it, which is not imported before the signals are handled.
_FAILED, _INTERRUPTED = 1, 130

_status = 0


def main() -> None:
    """Run the command with the arguments of the process, and exit with its status."""
    global _status
    try:
        end_on_signals()
        atexit.register(_leave)
        status = _prepared()
    except BaseException as error:
        # Code that is interrupted may raise something else.
        if not asked_to_end() and not isinstance(error, KeyboardInterrupt):
            ignore_signals()
            raise
        ignore_signals()
        print("penstock: interrupted", file=sys.stderr)
        status = _INTERRUPTED
    ignore_signals()
    _status = _flushed(status)
    sys.exit(_status)


def _leave() -> None:
    """Keep the exit status of an interrupted command; the first to register, so the last to run.

    Python ends by SIGINT instead of its status if code in a string was interrupted.
    """
    if asked_to_end() and _status == _INTERRUPTED:
        os._exit(_INTERRUPTED)


def _prepared() -> int:
    """Run the command with streams that can print any name."""
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if sys.stdout is None:
        print("penstock: standard output is closed: use > /dev/null", file=sys.stderr)
        return _FAILED
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name may have characters, or bytes, that the locale cannot print.
            stream.reconfigure(errors="backslashreplace")
    # NumPy's BLAS threads wait for each other in busy loops: on a machine with other work they cost
    # many times what they save in products of our size.  Read when NumPy is imported, so set here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from penstock.host.cli import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(
            f"penstock: the package {error.name} is missing: {install_hint('cli')}",
            file=sys.stderr,
        )
        return _FAILED
    return app.run(sys.argv[1:])


def _flushed(status: int) -> int:
    """Write out what was printed; return the status, which is 1 if that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and not status:
            print(f"penstock: standard output: {error.strerror}", file=sys.stderr)
        # What could not be written would be tried again, and reported again, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status or _FAILED
    return status


if __name__ == "__main__":
    main()
