"""``python -m penstock.sim ARCH TOP WAVES RECORD``: build a simulation library for another Python.

ARCH is the arch's parameters as JSON, TOP as in `sim.library.build.library`, WAVES and RECORD 0 or
1.  Prints a line for each step, and finally the library's path after ``library:``.
"""

from __future__ import annotations

import json
import sys

from penstock.models.spec.arch import Arch
from penstock.sim.library.build import library
from penstock.sim.library.toolchain import ToolError

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Build, and return the exit status."""
    arch, top, waves, record = arguments

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        path = library(
            Arch(**json.loads(arch)),
            top=top,
            waves=waves == "1",
            record=record == "1",
            progress=say,
        )
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"library:{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
