"""`export`: the folder it writes, and its example run in Icarus and read by Verilator."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.models.spec.arch import get_arch
from penstock.models.spec.arch_file import load_arch
from penstock.models.spec.regs import REGISTERS
from penstock.sim.library.toolchain import iverilog, verilator_bin
from tests.support.commands import Run, refused


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "core"
    assert app.run(["export", str(folder), "--arch", "tiny", "--mhz", "80"]) == 0
    return folder


def simulate(folder: Path) -> str:
    """Run the example with its own script; return what it prints."""
    iverilog()  # says how to get it
    command = ["sh", str(folder / "example" / "run.sh")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return result.stdout


def test_the_example_computes_what_the_golden_model_does(exported: Path) -> None:
    out = simulate(exported)
    match = re.search(r"PASS: (\d+) bytes as in the golden model, (\d+) cycles", out)
    assert match, out
    assert int(match[1]) == 400  # 6x6 by 10, and 2x2 by 10


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("expected.hex", None, None, "bytes differ from the golden model"),
        ("axi_memory.v", "<= wdata[8", "<= ~wdata[8", "differ"),
        ("program.vh", "GERPRINT_LO 32'h", "GERPRINT_LO 1 ^ 32'h", "reads"),
    ],
    ids=["result", "memory", "arch"],
)
def test_the_example_can_fail(
    exported: Path, tmp_path: Path, file: str, old: str | None, new: str | None, says: str
) -> None:
    folder = tmp_path / "core"
    shutil.copytree(exported, folder)
    path = folder / "example" / file
    text = path.read_text()
    if old is None or new is None:  # one byte of the result
        mask = (folder / "example" / "mask.hex").read_text().splitlines()
        line = next(k for k, word in enumerate(mask) if word.endswith("01"))
        words = text.splitlines()
        words[line] = f"{int(words[line], 16) ^ 1:016x}"
        path.write_text("\n".join(words) + "\n")
    else:
        assert old in text
        path.write_text(text.replace(old, new))
    out = simulate(folder)
    assert "FAIL" in out
    assert says in out
    assert "PASS" not in out


def test_verilator_reads_the_design(exported: Path) -> None:
    files = ["../penstock.v", "axi_memory.v", "axi_example.v"]
    command = [verilator_bin(), "--lint-only", "-Wno-fatal", "-Wno-lint", "--top-module"]
    result = subprocess.run(
        [*command, "axi_example", *files],
        cwd=exported / "example",
        env={"VERILATOR_ROOT": str(Path(verilator_bin()).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_ports_are_those_of_the_verilog(exported: Path) -> None:
    text = (exported / "penstock.v").read_text()
    (head,) = re.findall(r"^module penstock\((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    names = {name.strip() for name in head[0].split(",")}
    data = json.loads((exported / "ports.json").read_text())
    assert {port["name"] for port in data["ports"]} == names
    for port in data["ports"]:
        bits = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"  {port['direction']} {bits}{port['name']};" in head[1], port
        assert port["meaning"]
    assert len(data["registers"]) == len(REGISTERS)
    assert int(data["fingerprint"], 16) == get_arch("tiny").fingerprint
    assert load_arch(exported / "arch.toml") == get_arch("tiny")
    page = (exported / "ports.md").read_text()
    assert all(f"`{name}`" in page for name in names)


def test_constraints_have_the_clock(exported: Path) -> None:
    for name in ("penstock.sdc", "penstock.xdc"):
        assert (
            "create_clock -name clk -period 12.500 [get_ports clk]" in (exported / name).read_text()
        )


def test_refusals(penstock: Run, tmp_path: Path, exported: Path) -> None:
    refused(penstock("export", tmp_path / "a", "--arch", "x"), "'x'")
    refused(penstock("export", tmp_path / "a", "--arch", "tiny", "--mhz", "0"), "--mhz")
    (tmp_path / "file").write_text("")
    refused(penstock("export", tmp_path / "file", "--arch", "tiny"), "not a folder")
    refused(penstock("export", tmp_path, "--arch", "tiny"), "other files")
    # What an export wrote may be written again.
    assert penstock("export", exported, "--arch", "tiny", "--mhz", "80").status == 0
