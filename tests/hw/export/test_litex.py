"""The exported core in a LiteX SoC, simulated in Icarus: it computes what the golden model does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import penstock as ps
from penstock.sim.library.toolchain import iverilog


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "core"
    files = ps.export_core("tiny", folder, mhz=80)
    assert sorted(files) == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def simulate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the example with its own script."""
    iverilog()  # says how to get it
    return subprocess.run(
        ["sh", str(folder / "example" / "run_litex.sh"), *arguments],
        env={**os.environ, "PYTHON": sys.executable, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def damaged(exported: Path, tmp_path: Path, file: str, old: str, new: str) -> Path:
    folder = tmp_path / "core"
    shutil.copytree(exported, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize("bus", ["axi", "wishbone"])
def test_it_computes_what_the_golden_model_does(exported: Path, tmp_path: Path, bus: str) -> None:
    folder = tmp_path / "core"
    shutil.copytree(exported, folder)
    done = simulate(folder, bus)
    match = re.search(r"PASS: (\d+) bytes as in the golden model, (\d+) cycles", done.stdout)
    assert match, done.stdout + done.stderr
    assert int(match[1]) == 400  # 6x6 by 10, and 2x2 by 10
    # The SoC is LiteX's, with the core in it.
    text = (folder / "example" / "litex_soc.v").read_text()
    assert "LiteX" in text
    assert re.search(r"^penstock penstock", text, re.MULTILINE)


def test_a_wrong_result_is_found(exported: Path, tmp_path: Path) -> None:
    # Bit 0 of all that the memory ports read is inverted.
    old = 'rdata": port.r.data,'
    folder = damaged(exported, tmp_path, "penstock_litex.py", old, 'rdata": port.r.data ^ 1,')
    done = simulate(folder)
    assert "FAIL" in done.stdout
    assert "PASS" not in done.stdout


def test_ready_without_valid_is_not_shown_to_litex(exported: Path, tmp_path: Path) -> None:
    """LiteX's converter from 64 to 32 bits loses a write to the upper word otherwise."""
    old = "ready.eq(ready & getattr(csr, channel).valid)"
    folder = damaged(exported, tmp_path, "penstock_litex.py", old, "ready.eq(ready)")
    done = simulate(folder, "axi")
    assert "FAIL" in done.stdout
    assert "PASS" not in done.stdout


def test_an_unknown_bus(exported: Path) -> None:
    done = simulate(exported, "ahb")
    assert done.returncode == 1
    assert done.stderr == "the bus must be one of axi, wishbone, not 'ahb'\n"
