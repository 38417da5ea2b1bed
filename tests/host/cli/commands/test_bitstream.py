"""`penstock bitstream`, and its tools in `penstock doctor`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.host.cli import app
from penstock.hw.boards import catalog
from penstock.hw.flow import toolchain
from penstock.hw.flow.programs import yosys_tool
from penstock.hw.flow.step_times import STEPS, StepTimes
from penstock.hw.flow.xilinx.openxc7_tools import Tools
from tests.support.flow_fake import BOARD, FakeChain

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def penstock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setitem(catalog.BOARDS, "fake", BOARD)
    monkeypatch.setitem(toolchain.TOOLCHAINS, "fake", "tests.support.flow_fake:FakeChain")
    monkeypatch.setattr(
        "penstock.host.cli.commands.bitstream.check_netlist", lambda *a: "the netlist is right"
    )
    monkeypatch.setattr(
        "penstock.host.cli.commands.bitstream._cycles", lambda *a: {"net": 1_000_000}
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = app.run(["bitstream", *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_bitstream(penstock: Run, tmp_path: Path) -> None:
    status, out, err = penstock("--board", "fake", "--seeds", "3")
    assert status == 0, err
    assert "reported fmax 150.0 MHz with seed 2, target 130 MHz; to be run at 75.00 MHz" in out
    assert "estimate, not measured: 75.0 images/s of net on the array" in out
    assert out.splitlines()[-2:] == [
        "files: build/fake",
        "to load it, in that folder: loader fake.bit",
    ]
    assert (tmp_path / "build" / "fake" / "penstock.bit").is_file()
    # Progress while it runs, with the time.
    assert [line.split(" s  ")[1] for line in err.splitlines()][:3] == [
        "how long it takes is not known: no build of this board and arch was measured",
        "Amaranth to RTLIL",
        "synthesis",
    ]


def test_a_second_build_knows_how_long_it_takes(penstock: Run, tmp_path: Path) -> None:
    status, _, err = penstock("--board", "fake", "--seeds", "3")
    assert status == 0, err
    path = tmp_path / "build" / "fake" / "report.json"
    report = json.loads(path.read_text())
    assert set(report["costs"]) == set(STEPS)
    whole = sum(cost["seconds"] for cost in report["costs"].values())
    assert 0 <= report["seconds"] <= whole + 5
    for name, seconds in (("amaranth", 20), ("synthesis", 100), ("netlist check", 400)):
        report["costs"][name]["seconds"] = seconds
    report["costs"]["bitstream"]["seconds"] = 30
    for seed in report["seeds"]:
        seed["seconds"] = 300
    path.write_text(json.dumps(report))
    # Three seeds, two at a time: 600 s, longer than the check beside them.
    status, _, err = penstock("--board", "fake", "--seeds", "3", "--time", "20")
    assert status == 0, err
    said = [line.split(" s  ")[1] for line in err.splitlines()]
    assert said[0] == "about 12 min 30 s in all, as the last build in build/fake took"
    assert said[1:3] == ["Amaranth to RTLIL, about 20 s", "synthesis, about 1 min 40 s"]
    assert "place and route with 3 seeds, about 10 min 00 s" in said
    assert "packing and reading back the bitstream, about 30 s" in said
    # Of another arch nothing is known.
    _, _, err = penstock("--board", "fake", "--arch", "8x8", "--netlist-only")
    assert "how long it takes is not known" in err


def test_progress_has_share_and_time_left(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []

    @contextmanager
    def watched(text: str, *, expected: float | None) -> Iterator[None]:
        assert text == "building for fake"
        asked.append(expected)
        yield

    monkeypatch.setattr("penstock.host.cli.commands.bitstream.task", watched)
    known = StepTimes(dict.fromkeys(STEPS, 60.0), "a test")
    monkeypatch.setattr("penstock.hw.flow.step_times.step_times", lambda *a: known)
    status, _, err = penstock("--board", "fake", "--seed", "2")
    assert status == 0, err
    assert asked == [240.0]


def test_a_board_in_a_file_outside_the_project(penstock: Run, tmp_path: Path) -> None:
    path = tmp_path / "boards" / "mine.py"
    path.parent.mkdir()
    path.write_text(
        "from dataclasses import replace\n"
        "from tests.support.flow_fake import BOARD as FAKE\n"
        "BOARD = replace(FAKE, name='mine', title='My board')\n"
    )
    status, out, err = penstock("--board", "boards/mine.py", "--seeds", "2")
    assert status == 0, err
    assert out.splitlines()[0] == "My board, arch tiny, 16 MACs a cycle"
    assert "files: build/mine" in out
    assert (tmp_path / "build" / "mine" / "penstock.bit").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "defines no BOARD: it must say BOARD = Board(...), of hw.boards.board"),
        ("BOARD = 'pynq-z2'\n", "defines BOARD as str: it must say BOARD = Board(...)"),
        ("import nothing_of_that_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_"),
    ],
)
def test_a_file_without_a_board(penstock: Run, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    status, out, err = penstock("--board", "mine.py")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert str(tmp_path / "mine.py") in err and message in err


def test_missed_timing_is_a_failure(penstock: Run, tmp_path: Path) -> None:
    status, out, err = penstock("--board", "fake", "--seed", "1", "--out", "there")
    assert status == 1
    assert "120.0 MHz" in out
    assert err.endswith(
        "penstock: timing missed: fake must report 130 MHz "
        "(more --seeds may do better; the files are in there)\n"
    )
    assert (tmp_path / "there" / "report.md").is_file()


def test_without_the_tools(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeChain, "missing", ["place", "pack"])
    status, _, err = penstock("--board", "fake")
    assert status == 1
    assert err.splitlines() == [
        "penstock: missing for the bitstream of fake:",
        "  1. place: get place somewhere",
        "  2. pack: get pack somewhere",
        "penstock: nothing was made; --netlist-only stops before place and route",
    ]
    assert os.listdir(tmp_path) == []
    status, out, err = penstock("--board", "fake", "--netlist-only")
    assert status == 0, err
    assert out.splitlines()[-2:] == ["the netlist is right", "files: build/fake"]
    assert (tmp_path / "build" / "fake" / "netlist.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--board", "nexys"],
            "board must be one of pynq-z1, pynq-z2, ulx3s-85f, ulx3s-45f, ulx3s-25f, "
            "tang-nano-20k, arty-a7-100t, fake, or a Python file that defines BOARD, not 'nexys'",
        ),
        (["--board", "none.py"], "none.py: no such file"),
        (["--board", "fake", "--arch", "3x"], "arch must be one of"),
        (["--board", "fake", "--out", "file"], "file: not a folder"),
        (["--board", "fake", "--seeds", "0"], "--seeds"),
        (["--board", "fake", "--time", "0"], "--time"),
        ([], "Missing option '--board'"),
    ],
)
def test_bad_usage(penstock: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").write_text("x")
    status, out, err = penstock(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert os.listdir(tmp_path) == ["file"]


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An installation of openXC7 with empty files."""
    root = tmp_path / "openxc7"
    version = "echo '\"nextpnr-xilinx\" -- Next Generation Place and Route (Version abc123)' >&2"
    program(root / "bin" / "nextpnr-xilinx", version)
    for name in ("fasm2frames", "xc7frames2bit", "bitread"):
        program(root / "bin" / name)
    family = root / "external" / "prjxray-db" / "zynq7"
    for file in ("xc7z020/tilegrid.json", "xc7z020clg400-1/part.yaml"):
        (family / file).parent.mkdir(parents=True)
        (family / file).write_text("{}")
    (root / "share").mkdir()
    (root / "share" / "xc7z020clg400.bin").write_bytes(b"chip")
    return root


def tools(**env: Any) -> Tools:
    values = {name: str(value) for name, value in env.items()}
    return Tools(
        family="zynq7", device="xc7z020", part="xc7z020clg400-1", env={"PATH": "", **values}
    )


def test_an_installation_is_found(installed: Path) -> None:
    for found in (
        tools(NEXTPNR_XILINX_DIR=installed).list(),
        tools(PATH=installed / "bin").list(),
    ):
        values = {tool.name: tool.found for tool in found}
        assert values.pop("nextpnr-xilinx") == "abc123"
        assert list(values) == [
            "fasm2frames",
            "xc7frames2bit",
            "bitread",
            "xc7z020.bin",
            "prjxray-db zynq7",
        ]
        for value in values.values():
            assert value is not None
            assert value.startswith("sha256 ")


def test_databases_elsewhere(installed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (installed / "external" / "prjxray-db").rename(other / "database")
    (installed / "share" / "xc7z020clg400.bin").rename(other / "xc7z020.bin")
    found = tools(NEXTPNR_XILINX_DIR=installed)
    assert (found.database(), found.chip()) == (None, None)
    for chip in (other, other / "xc7z020.bin"):
        found = tools(NEXTPNR_XILINX_DIR=installed, PRJXRAY_DB_DIR=other / "database", CHIPDB=chip)
        assert found.database() == other / "database" / "zynq7"
        assert found.chip() == other / "xc7z020.bin"


def test_a_database_without_the_device_is_none(installed: Path) -> None:
    (installed / "external" / "prjxray-db" / "zynq7" / "xc7z020" / "tilegrid.json").unlink()
    missing = [t.name for t in tools(NEXTPNR_XILINX_DIR=installed).list() if t.found is None]
    assert missing == ["prjxray-db zynq7"]


def test_nothing_is_found_where_nothing_is() -> None:
    found = tools().list()
    assert [tool.found for tool in found] == [None] * 6
    for tool in found:
        assert "openXC7" in tool.cure


def test_yosys_is_found() -> None:
    tool = yosys_tool()
    assert tool.found is not None
    assert tool.found[0].isdigit()


def test_doctor_lists_the_tools(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXTPNR_XILINX_DIR", str(installed))
    (installed / "bin" / "bitread").unlink()
    assert app.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["ok", "nextpnr-xilinx", "abc123"] for line in lines)
    (line,) = (line for line in lines if " bitread " in line)
    assert line.startswith("optional")
    assert (
        "needed for penstock bitstream --board pynq-z1 or pynq-z2 or arty-a7-100t: install" in line
    )


def test_an_arch_that_cannot_fit_is_refused_at_once(penstock: Run, tmp_path: Path) -> None:
    status, _, err = penstock("--board", "ulx3s-85f", "--arch", "16x16")
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "16x16 does not fit ulx3s-85f (LFE5U-85F): it takes 272 DSP of 156" in err
    assert "penstock explore --board ulx3s-85f" in err
    assert not list(tmp_path.iterdir())
