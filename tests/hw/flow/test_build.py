"""The flow: the order of its steps, atomic output folders, and messages on errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.hw.boards.board import Board
from penstock.hw.boards.catalog import BOARDS
from penstock.hw.flow import toolchain
from penstock.hw.flow.build import build
from penstock.hw.flow.errors import BuildError, CheckError, ToolsMissing
from penstock.hw.flow.folder import Folder
from penstock.hw.flow.process import Runner, StoppedError
from penstock.hw.flow.report import Report
from penstock.models.spec.arch import Arch, get_arch
from tests.support.flow_fake import BOARD, FakeChain

TINY = get_arch("tiny")


@pytest.fixture(autouse=True)
def chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(toolchain.TOOLCHAINS, "fake", "tests.support.flow_fake:FakeChain")


def check(netlist: Path, board: Board, arch: Arch, say: Callable[[str], None]) -> str:
    assert netlist.exists()
    assert netlist.with_suffix(".v").exists()
    assert (board.name, arch) == ("fake", TINY)
    return "the netlist is right"


def run(out: Path, **options: Any) -> Report:
    values: dict[str, Any] = {
        "seeds": [1, 2, 3],
        "minutes": 1.0,
        "check": check,
        "cycles": {"net": 1_000_000},
        "say": lambda text: None,
    }
    return build(BOARD, TINY, out, **{**values, **options})


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a build that must be the same each time."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.stem != "report"
    }


def test_a_build(tmp_path: Path) -> None:
    steps: list[str] = []
    report = run(tmp_path / "out", say=steps.append)
    assert (report.state, report.met, report.seed, report.clock_mhz) == ("done", True, 2, 75.0)
    assert report.used == {"LUT": 2, "RAM": 0.5}
    assert report.notes == ["the netlist is right", "packed", "verified"]
    assert report.frames_per_second() == {"net": 75.0}
    order = [steps.index(name) for name in ("Amaranth to RTLIL", "synthesis")]
    assert order == sorted(order)
    assert {f"seed {seed} begins" for seed in (1, 2, 3)} < set(steps)
    assert sorted(os.listdir(tmp_path)) == ["out"]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "logs",
        "manifest.json",
        "netlist.json",
        "netlist.v",
        "penstock.bit",
        "penstock.il",
        "penstock.xdc",
        "report.json",
        "report.md",
    ]
    assert (tmp_path / "out" / "penstock.bit").read_text() == "routed 2\n"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["fingerprint"] == f"{TINY.fingerprint:016x}"
    assert (manifest["seed"], manifest["clock_mhz"], manifest["state"]) == (2, 75.0, "done")
    assert manifest["tools"] == {"synth": "1.0", "place": "2.0", "pack": "2.0"}
    assert "penstock.bit" in manifest["files"]
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_same_inputs_give_the_same_files(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "elsewhere" / "b")
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "elsewhere" / "b")
    run(tmp_path / "c", seeds=[2], jobs=1)
    assert first == contents(tmp_path / "c")


def test_a_build_replaces_the_last_one_whole(tmp_path: Path) -> None:
    run(tmp_path / "out")
    (tmp_path / "out" / "stale.txt").write_text("old")
    run(tmp_path / "out", seeds=[1])
    assert (tmp_path / "out" / "penstock.bit").read_text() == "routed 1\n"
    assert not (tmp_path / "out" / "stale.txt").exists()
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_missed_timing_is_in_the_report(tmp_path: Path) -> None:
    report = run(tmp_path / "out", seeds=[1])
    assert (report.met, report.state) == (False, "timing missed")
    assert "MISSED" in (tmp_path / "out" / "report.md").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["timing_met"] is False


def test_without_the_tools_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeChain, "missing", ["pack"])
    steps: list[str] = []
    with pytest.raises(ToolsMissing, match=r"^missing: pack$"):
        run(tmp_path / "out", say=steps.append)
    assert os.listdir(tmp_path) == steps == []


def test_the_checked_netlist_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which needs none of the tools for place and route."""
    monkeypatch.setattr(FakeChain, "missing", ["place", "pack"])
    report = run(tmp_path / "out", netlist_only=True)
    assert (report.state, report.timing) == ("netlist", None)
    assert report.summary() == [
        "Fake, arch tiny, 16 MACs a cycle",
        "cells: LUT 2 of 100, RAM 0.5 of 2",
        "the netlist is right",
    ]
    assert "penstock.bit" not in os.listdir(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (written["state"], written["fmax_mhz"]) == ("netlist", None)
    assert written["checks"] == ["the netlist is right"]


def test_a_netlist_that_is_wrong_stops_it(tmp_path: Path) -> None:
    def wrong(*arguments: object) -> str:
        raise CheckError("conv1 differs at 3")

    run(tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(CheckError, match="conv1 differs at 3") as caught:
        run(tmp_path / "out", check=wrong)
    assert str(caught.value).endswith(f"(logs: {tmp_path / 'out.logs'})")
    assert contents(tmp_path / "out") == before
    assert sorted(os.listdir(tmp_path)) == ["out", "out.logs"]


def test_a_netlist_that_is_wrong_stops_place_and_route(tmp_path: Path) -> None:
    """Which goes on meanwhile: a seed that would never end."""
    begun = threading.Event()

    def say(text: str) -> None:
        if text.startswith("pid"):
            begun.set()

    def wrong(*arguments: object) -> str:
        assert begun.wait(60)
        raise CheckError("conv1 differs at 3")

    with pytest.raises(CheckError, match="conv1 differs at 3"):
        run(tmp_path / "out", check=wrong, seeds=[5], say=say)
    assert os.listdir(tmp_path) == ["out.logs"]


def test_a_bitstream_that_is_wrong_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeChain, "broken", True)
    with pytest.raises(CheckError, match="the bitstream differs"):
        run(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out.logs"]


def test_seeds_that_fail_or_hang(tmp_path: Path) -> None:
    report = run(tmp_path / "out", seeds=[4, 5, 1], minutes=0.03, jobs=3)
    assert [(s.seed, s.outcome) for s in report.seeds] == [
        (4, "failed"),
        (5, "stopped"),
        (1, "routed"),
    ]
    assert "cannot place" in report.seeds[0].reason
    assert report.seed == 1
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| 5 | stopped |" in text
    assert "| 1 | routed (kept) | 120.0 |" in text


def test_no_seed_comes_through(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"none of 1 seeds could be .*exit status 3.*cannot place"):
        run(tmp_path / "out", seeds=[4])
    with pytest.raises(BuildError, match=r"the time was over before one was through \(--time\)"):
        run(tmp_path / "out", seeds=[5], minutes=0.02)


def test_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeChain, "netlist", FakeChain.netlist.replace("LUT4", "BRAM"))
    monkeypatch.setattr(FakeChain, "CELLS", {"BRAM": ("RAM", 1)})
    with pytest.raises(BuildError, match="arch tiny does not fit fake: it takes 3 RAM of 2"):
        run(tmp_path / "out")


def test_an_interrupt_ends_the_tools_and_leaves_nothing(tmp_path: Path) -> None:
    def say(text: str) -> None:
        if text == "seed 5 begins":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", seeds=[5], say=say)
    assert os.listdir(tmp_path) == []


def test_two_builds_keep_apart(tmp_path: Path) -> None:
    with (
        Folder(tmp_path / "out"),
        pytest.raises(BuildError, match="another build is writing there"),
    ):
        run(tmp_path / "out")
    run(tmp_path / "out")


def test_folders_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BuildError, match="has other files in it"):
        run(tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BuildError, match="file: not a folder"):
        run(tmp_path / "file")
    with pytest.raises(BuildError, match="cannot be made: not a directory"):
        run(tmp_path / "file" / "below")
    (tmp_path / "empty").mkdir()
    run(tmp_path / "empty", seeds=[1])


KILLED = """
import signal
import sys
from pathlib import Path
from penstock.host.cli.interrupts import terminable
from penstock.hw.flow import toolchain
from penstock.hw.flow.build import build
from penstock.models.spec.arch import get_arch
from tests.support.flow_fake import BOARD
# Whoever started the tests in the background may have had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
toolchain.TOOLCHAINS["fake"] = "tests.support.flow_fake:FakeChain"
with terminable():
    build(BOARD, get_arch("tiny"), Path(sys.argv[1]), seeds=[5], minutes=1.0,
          check=lambda *a: "right", cycles={}, say=lambda text: print(text, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_kill_leaves_what_was_there(tmp_path: Path, number: signal.Signals) -> None:
    run(tmp_path / "out")
    before = contents(tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    with process, process.stdout:
        while not (line := process.stdout.readline()).startswith("pid "):
            assert line, "the build ended before it was killed"
        process.send_signal(number)
    assert process.returncode
    assert contents(tmp_path / "out") == before
    assert ended(int(line.split()[1]))
    if number is not signal.SIGKILL:
        assert os.listdir(tmp_path) == ["out"]
    run(tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert os.listdir(tmp_path) == ["out"]


def ended(pid: int) -> bool:
    """Whether a process ends within a generous time."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False


def test_a_kill_between_two_names(tmp_path: Path) -> None:
    run(tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with Folder(tmp_path / "out"):
        assert contents(tmp_path / "out") == before
    assert contents(tmp_path / "out") == before


def test_running_a_program(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import os; print('one'); print(os.environ['WORD'])"
    cost = Runner().run(
        [sys.executable, "-c", code],
        log=tmp_path / "log",
        env={"WORD": "two"},
        line=lines.append,
    )
    assert lines == ["one\n", "two\n"]
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    assert cost.megabytes > 1


def test_programs_that_fail(tmp_path: Path) -> None:
    runner = Runner()
    code = "print('first'); print('last'); raise SystemExit(7)"
    with pytest.raises(BuildError, match=r"failed \(exit status 7\): first \| last"):
        runner.run([sys.executable, "-c", code], log=tmp_path / "log")
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(BuildError, match=r"signal SIGSEGV\): it printed nothing"):
        runner.run([sys.executable, "-c", code], log=tmp_path / "log")
    with pytest.raises(BuildError, match="no-such-program cannot be run: there is no such"):
        runner.run(["/no-such-program"], log=tmp_path / "log")
    with pytest.raises(StoppedError, match="was stopped after"):
        runner.run(
            [sys.executable, "-c", "import signal; signal.pause()"],
            log=tmp_path / "log",
            deadline=time.monotonic() + 0.5,
        )
    runner.stop()
    with pytest.raises(StoppedError, match="was not run"):
        runner.run([sys.executable, "-c", ""], log=tmp_path / "log")


def test_a_board_lacks_what_its_tool_chain_wants() -> None:
    for board in BOARDS.values():
        assert board.toolchain in toolchain.TOOLCHAINS
        assert toolchain.get_toolchain(board).board is board
    with pytest.raises(
        BuildError, match=r"toolchain must be one of ecp5, gowin, openxc7.*, not 'diamond'"
    ):
        toolchain.get_toolchain(replace(BOARD, toolchain="diamond"))
    given = {"device": "25k", "package": "CABGA381"}
    with pytest.raises(
        BuildError, match=r"board fake: the tool chain ecp5 wants .*; not given: speed, idcode"
    ):
        toolchain.get_toolchain(replace(BOARD, toolchain="ecp5", options=given))


def test_wrong_parameters(tmp_path: Path) -> None:
    for seeds in ([], [1, 1]):
        with pytest.raises(ValueError, match="seeds must be different numbers, at least one, not"):
            run(tmp_path / "out", seeds=seeds)
    with pytest.raises(ValueError, match="minutes must be positive, not 0"):
        run(tmp_path / "out", minutes=0)
