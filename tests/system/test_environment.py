"""The command in the environments it meets: signals, locales, closed streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_COMMAND = [sys.executable, "-m", "penstock"]
_PHOTO = Path(__file__).parents[2] / "models/data/photos/chelsea.jpg"
# With an empty cache it builds the simulator: 20 s and more.
_CLASSIFY = ["classify", str(_PHOTO), "--model", "tiny", "--arch", "tiny", "--device", "rtl"]


def _interrupted(arguments: list[str], delay: float, number: int, **env: str) -> None:
    """Start a command and end it after `delay` seconds; check how it ends."""
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    time.sleep(delay)
    process.send_signal(number)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    # Before it come lines of progress at most.
    lines = [
        line
        for line in errors.splitlines()
        if "building the simulator" not in line and not line.endswith(" ...")
    ]
    assert (process.returncode, lines) == (130, ["penstock: interrupted"])
    assert time.monotonic() - begin < 5  # on a loaded machine; 2 s on a free one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.2, 0.4, 0.6, 0.9])
def test_interrupted_while_python_imports(tmp_path: Path, number: int, delay: float) -> None:
    _interrupted(_CLASSIFY, delay, number, PENSTOCK_CACHE=str(tmp_path))


@pytest.mark.parametrize("delay", [3, 6, 10])
def test_interrupted_while_the_simulator_is_built(tmp_path: Path, delay: float) -> None:
    _interrupted(_CLASSIFY, delay, signal.SIGTERM, PENSTOCK_CACHE=str(tmp_path))
    # No compiler goes on in the background: what it works on lies in this folder.
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [entry] if str(tmp_path).encode() in entry.read_bytes() else []
        except OSError:
            continue  # ended meanwhile
    assert not found
    assert not list(tmp_path.glob("build-*"))


def _run(arguments: list[str | bytes], stdout: int | None = None, **env: str) -> tuple[int, bytes]:
    result = subprocess.run(
        [*_COMMAND, *arguments],
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.STDOUT if stdout is None else subprocess.PIPE,
        env={**os.environ, **env},
        check=False,
    )
    return result.returncode, (result.stdout or b"") + (result.stderr or b"")


def test_standard_output_is_full() -> None:
    with open("/dev/full", "w") as full:
        status, said = _run(["--version"], full.fileno())
    assert (status, said) == (1, b"penstock: standard output: No space left on device\n")


def test_standard_output_is_closed() -> None:
    command = 'exec "$0" -m penstock --version >&-'
    result = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == "penstock: standard output is closed: use > /dev/null\n"


@pytest.mark.parametrize("name", ["blüte.jpg".encode(), b"b\xff\xfe.jpg"])
@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C.UTF-8"},
    ],
)
def test_names_that_the_locale_cannot_print(
    tmp_path: Path, name: bytes, env: dict[str, str]
) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    with open(path, "wb") as file:
        file.write(_PHOTO.read_bytes())
    arguments: list[str | bytes] = ["classify", path, "--model", "tiny", "--arch", "tiny"]
    status, said = _run([*arguments, "--device", "functional"], **env)
    assert status == 0, said
    status, said = _run([*arguments[:1], path + b"-missing", *arguments[2:]], **env)
    assert status == 2
    assert said.count(b"\n") == 1
    assert b"internal error" not in said
