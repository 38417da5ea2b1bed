"""The command `penstock`: starts the command line if what it needs is installed."""

from __future__ import annotations

import os
import sys

from penstock.models.spec.install_hint import install_hint

__all__ = ["main"]


def main() -> None:
    """Run the command with the arguments of the process, and exit with its status."""
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
        sys.exit(1)
    sys.exit(app.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
