"""Installs a wheel in its own environment and uses it in a folder with conflicting packages.

``python -m tests.wheel.check WHEEL ENVIRONMENT`` makes the environment, then runs the commands in a
folder with nothing in it but packages called ``models``, ``sim``, ``hw`` and ``host``, which fail
when they are imported.  Prints each command, its time and its status; the last line counts them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

_TINY = ("--model", "tiny", "--arch", "tiny")
_CLASSIFY = ("penstock", "classify", "PHOTO", *_TINY, "--device")

# Extras, and commands with what they must print.  `PHOTO` stands for a photograph of the wheel's.
_BARE: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("python", "-c", "import penstock; print(penstock.__version__)"), 0, "."),
    (
        ("python", "-c", "import penstock.host.compiler.compile, penstock.host.devices.functional"),
        0,
        "",
    ),
    (("penstock", "doctor"), 1, "is missing"),
)
_FULL: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("penstock", "doctor"), 0, "everything that is needed is here"),
    (
        (*_CLASSIFY, "functional", "--check"),
        0,
        "bit-exact with the golden model: yes",
    ),
    (
        (*_CLASSIFY, "rtl", "--check"),
        0,
        "bit-exact with the golden model: yes",
    ),
    (("penstock", "simulate", "conv2"), 0, ""),
    (
        ("penstock", "bitstream", "--board", "ulx3s-85f", "--arch", "tiny", "--netlist-only"),
        0,
        "no difference from the golden model",
    ),
    (
        ("penstock", "bitstream", "--board", "pynq-z2", "--arch", "tiny", "--netlist-only"),
        0,
        "no difference from the golden model",
    ),
)
_LIMIT = 1200.0  # seconds for one command


def _install(folder: Path, requirement: str) -> Path:
    """Make an environment and return the folder of its programs."""
    venv.create(folder, with_pip=True, clear=True)
    programs = folder / "bin"
    subprocess.run(
        [programs / "python", "-m", "pip", "install", "-q", requirement],
        check=True,
    )
    return programs


def _photograph(programs: Path, folder: Path) -> str:
    code = "from penstock.models.data.shipped import PHOTOS; print(min(PHOTOS.glob('*.jpg')))"
    done = subprocess.run(
        [programs / "python", "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _foreign(folder: Path) -> None:
    """Packages of another project, with the names of our folders."""
    for name in ("models", "sim", "hw", "host"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('of another project')\n")


def _run(
    programs: Path, folder: Path, commands: Sequence[tuple[tuple[str, ...], int, str]]
) -> list[bool]:
    photograph = _photograph(programs, folder)
    results = []
    for command, wanted, text in commands:
        words = [photograph if word == "PHOTO" else word for word in command]
        begin = time.monotonic()
        done = subprocess.run(
            [programs / words[0], *words[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT,
        )
        right = done.returncode == wanted and text in done.stdout
        results.append(right)
        print(f"{'ok' if right else 'WRONG':6}{time.monotonic() - begin:7.1f} s  {' '.join(words)}")
        if not right:
            print(f"status {done.returncode}, wanted {wanted} and {text!r} in:\n{done.stdout}")
        sys.stdout.flush()
    return results


def main(arguments: Sequence[str]) -> int:
    """Check the wheel; return the exit status."""
    wheel, environment = Path(arguments[0]).resolve(), Path(arguments[1]).resolve()
    results = []
    for name, extras, commands in (("bare", "", _BARE), ("full", "[sim,bitstream]", _FULL)):
        programs = _install(environment / name, f"{wheel}{extras}")
        with tempfile.TemporaryDirectory(prefix="penstock-wheel-") as folder:
            _foreign(Path(folder))
            results += _run(programs, Path(folder), commands)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
