"""Run the benchmark and write its results: ``make bench``.

SCALE-Sim is installed on first use, which needs a network; if that fails, nothing is written and
the exit status is 1.  ``--without-scalesim`` leaves it out and says so in the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from penstock.host.cli.support.exit_status import (
    EXIT_FAILED,
    EXIT_USAGE,
    InputError,
    WorkError,
    one_line,
)
from penstock.host.cli.support.output_file import OutputFile
from penstock.host.devices.device import DeviceError
from penstock.host.report.benchmark import MODELS, measure
from penstock.host.report.benchmark_page import page
from penstock.host.report.scalesim import ScaleSim, ScaleSimError

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _bench(options: argparse.Namespace) -> None:
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        report = stack.enter_context(OutputFile(options.json))
        document = stack.enter_context(OutputFile(options.page))
        scale = None
        if not options.without_scalesim:
            scale = ScaleSim(ROOT / "build" / "scalesim", _say)
        results = measure(options.model or MODELS, scale, _say)
        text = page(results)
        report.commit(json.dumps(results, indent=2).encode() + b"\n")
        document.commit(text.encode())
    print(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--model", action="append", help="instead of all; may be repeated")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--without-scalesim", action="store_true")
    options = parser.parse_args(arguments)
    try:
        _bench(options)
    except ScaleSimError as error:
        _say(f"{one_line(error)}; make bench BENCH=--without-scalesim leaves it out")
        return EXIT_FAILED
    except (WorkError, DeviceError) as error:
        _say(one_line(error))
        return EXIT_FAILED
    except (InputError, ValueError) as error:
        _say(one_line(error))
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
