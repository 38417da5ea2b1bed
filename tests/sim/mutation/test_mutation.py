"""Mutation testing: sites, changed sources, and outcomes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.sim.mutation.mutant import KINDS, Mutant, Site, draw
from penstock.sim.mutation.report import summary
from penstock.sim.mutation.run import (
    SYSTEM,
    MutationError,
    Record,
    Result,
    core_modules,
    digest,
    failed,
    groups,
    run,
)
from penstock.sim.mutation.sites import sites
from scripts import mutate

ROOT = Path(__file__).resolve().parents[3]

BLOCK = '''
"""A block: 1 + 1."""

from penstock.hw.other import thing

__all__ = ["Block"]

_DEPTH = 4
_BITS = 5


class State(enum.Enum):
    A = 0
    B = 1


class Block(Component):
    """Adds 2 & 3."""

    def __init__(self, *, rows: int = 8, depth: int = _DEPTH) -> None:
        if rows < 1:
            raise ValueError(f"rows must be at least {0 + 1}")
        super().__init__({"i": In(_BITS), "o": Out(range(rows + 1))})

    def elaborate(self, platform):
        m = Module()
        count = Signal(8, name="count_" + "1", reset_less=True)
        late = Signal(3)
        m.submodules[0] = Fifo(shape=7, depth=9, block=True)
        m.d.comb += self.o.eq(Mux(count > late, count, late))
        with m.If(self.i == 3):
            m.d.sync += [count.eq(count + 1), late.eq(self.i)]
        with m.Else():
            m.d.sync += late.eq(~self.i)
        with m.FSM():
            with m.State("one"):
                m.next = "two"
            with m.State("two"):
                m.next = "one"
        return m
'''


@pytest.fixture
def found(tmp_path: Path) -> list[Site]:
    (tmp_path / "hw").mkdir()
    path = tmp_path / "hw" / "block.py"
    path.write_text(BLOCK)
    return sites(path, tmp_path)


def test_sites(found: list[Site]) -> None:
    """All sites, and none of those excluded by the rules."""
    assert [(site.kind, site.before, site.after) for site in found] == [
        ("constant", "5", ("4",)),
        ("constant", "8", ("7", "9")),
        ("condition", "rows < 1", ("not (rows < 1)",)),
        ("operator", "rows < 1", ("rows <= 1",)),
        ("constant", "1", ("0", "2")),
        ("constant", "range(rows + 1)", ("range((rows + 1) // 2)",)),
        ("constant", "8", ("7",)),
        ("constant", "3", ("2",)),
        ("constant", "7", ("6", "8")),
        ("condition", "Mux(count > late, count, late)", ("Mux(count > late, late, count)",)),
        (
            "condition",
            "m.If(self.i == 3)",
            ("m.If((self.i == 3) == 0)", "m.If(1)", "m.If(0)"),
        ),
        ("operator", "self.i == 3", ("self.i != 3",)),
        ("constant", "3", ("2", "4")),
        (
            "register",
            "late: m.d.sync += late.eq(self.i)",
            ("late: m.d.comb += late.eq(self.i)",),
        ),
        ("operator", "count + 1", ("((count) - (1))",)),
        ("constant", "1", ("0", "2")),
        ("operator", "~self.i", ("(self.i)",)),
        ("constant", 'm.next = "two"', ('m.next = "one"',)),
        ("constant", 'm.next = "one"', ('m.next = "two"',)),
    ]


def test_every_fault_is_a_program_of_its_own(found: list[Site]) -> None:
    texts = {BLOCK}
    for site in found:
        for choice in range(len(site.after)):
            text = Mutant(site, choice).apply(BLOCK)
            ast.parse(text)
            assert text not in texts, site
            texts.add(text)


def test_a_missing_register_is_missing_everywhere(found: list[Site]) -> None:
    (site,) = (site for site in found if site.kind == "register")
    text = Mutant(site, 0).apply(BLOCK)
    assert "m.d.sync += [count.eq(count + 1)]; m.d.comb += [late.eq(self.i)]" in text
    assert "m.d.comb += [late.eq(~self.i)]" in text


def test_the_core_has_sites_of_every_kind() -> None:
    names = core_modules(ROOT)
    assert {"hw/bus/dma.py", "hw/array/packed.py", "hw/array/dsp48.py", "hw/engines/lrn.py"} <= set(
        names
    )
    assert not {"hw/link/uart.py", "hw/boards/pynq_z2_top.py", "hw/boards/ulx3s_top.py"} & set(
        names
    )
    for name in ("hw/bus/dma.py", "hw/core/run_control.py"):
        assert {site.kind for site in sites(ROOT / name, ROOT)} == set(KINDS)


def test_draw(found: list[Site]) -> None:
    whole = draw(found, len(found), seed=3)
    assert [mutant.key for mutant in draw(found, 5, seed=3)] == [m.key for m in whole[:5]]
    assert len({mutant.key for mutant in whole}) == len(found)
    assert [m.key for m in draw(found, 5, seed=4)] != [m.key for m in whole[:5]]
    # Every site is as likely as every other one.
    first = [draw(found, 1, seed=seed)[0].site for seed in range(40 * len(found))]
    counts = [first.count(site) for site in found]
    assert min(counts) > 15 and max(counts) < 75


def test_every_fault_has_a_name_of_its_own() -> None:
    found = [site for name in core_modules(ROOT) for site in sites(ROOT / name, ROOT)]
    keys = [Mutant(site, choice).key for site in found for choice in range(len(site.after))]
    assert len(keys) > 3000
    assert len(set(keys)) == len(keys)


def test_tests_of_a_module_come_nearest_first() -> None:
    (blocks, whole) = groups(ROOT, "hw/lib/fifo.py")
    assert blocks[0] == "tests/hw/lib/test_fifo.py"
    assert blocks.index("tests/hw/bus/test_dma.py") < blocks.index("tests/hw/engines/test_post.py")
    assert whole == [
        "tests/system/test_cycles.py",
        "tests/host/devices/test_rtl.py",
        "tests/system/test_fuzz.py",
    ]
    # The packed array is not in the simulated core.
    (blocks,) = groups(ROOT, "hw/array/dsp48.py")
    assert (
        "tests/hw/array/test_packed.py" in blocks
        and blocks[-1] == "tests/sim/netlist/test_netlist.py"
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of small modules with tests, which catch some faults."""
    root = tmp_path / "root"
    for name in ("hw", "hw/core", "hw/array", "tests", "tests/system", "tests/host/devices"):
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text('"""Empty."""\n')
    (root / "tests" / "host" / "__init__.py").write_text("")
    for name in ("models", "host", "sim"):
        os.symlink(ROOT / name, root / name)
    (root / "hw" / "core" / "accel.py").write_text(
        "from penstock.hw.adder import add\n\n__all__ = []\n"
    )
    (root / "hw" / "array" / "packed.py").write_text("__all__ = []\n")
    (root / "hw" / "adder.py").write_text(
        "def add(a, b):\n    return a + b\n\n\ndef unused(a):\n    return a - a\n\n\n"
        "def clash():\n    note = not True\n    return note\n"
    )
    (root / "tests" / "test_adder.py").write_text(
        "from penstock.hw.adder import add, clash\n\n\n"
        "def test_add():\n    assert add(2, 1) == 3\n\n\n"
        "def test_clash():\n    if clash():\n"
        "        raise SyntaxError('DriverConflict')\n"
    )
    for path in SYSTEM:
        (root / path).write_text("def test_nothing():\n    pass\n")
    return root


def test_run(tree: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tree / "hw").glob("*.py")}
    found = sites(tree / "hw" / "adder.py", tree)
    assert [site.before for site in found] == ["a + b", "a - a", "not True", "True"]
    mutants = [Mutant(site, 0) for site in found]
    seen: list[tuple[str, Result, str]] = []

    def report(mutant: Mutant, result: Result, by: str) -> None:
        seen.append((mutant.before, result, by))

    path = tmp_path / "results" / "record.jsonl"
    done = run(tree, mutants, 2, Record(path), cores=(), report=report)
    assert seen == [
        ("a + b", Result.CAUGHT, "tests/test_adder.py::test_add"),
        ("a - a", Result.SURVIVED, ""),
    ]
    assert before == {path: path.read_bytes() for path in (tree / "hw").iterdir() if path in before}
    text, share = summary(done, sites=len(found), seed=1)
    assert share == 50.0
    assert "hw/adder.py:6 (operator)\n    before a - a\n    after  ((a) + (a))" in text
    assert "1 of 2 faults caught (50.0 %)" in text

    # Mutants in the record are not run again; those that Amaranth rejects do not count.
    lines = path.read_text().splitlines()
    (tree / "tests" / "test_adder.py").write_text(
        (tree / "tests" / "test_adder.py").read_text().replace("== 3", "== 3  # as before")
    )
    seen.clear()
    order = [mutants[0], mutants[2], mutants[3], mutants[1]]
    with pytest.raises(MutationError, match="there are only 2 mutants, not 3"):
        run(tree, order, 3, Record(path), cores=(), report=report)
    assert path.read_text().splitlines()[:2] == lines
    assert [result for _, result, _ in seen] == [
        Result.CAUGHT,
        Result.REFUSED,
        Result.REFUSED,
        Result.SURVIVED,
    ]


CORE = """
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Accel(wiring.Component):
    a: In(4)
    y: Out(4)

    def __init__(self, *, arch, unused=8):
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(self.a & self.a)
        return m
"""


def test_faults_that_are_proved_to_change_nothing_do_not_count(tree: Path, tmp_path: Path) -> None:
    accel = tree / "hw" / "core" / "accel.py"
    accel.write_text(CORE)
    (tree / "hw" / "array" / "packed.py").write_text("class PackedArray:\n    pass\n")
    found = sites(accel, tree)
    by_text = {site.before: Mutant(site, 0) for site in found}
    order = [by_text["self.a & self.a"], by_text["8"]]
    results = []
    done = run(
        *(tree, order, 1, Record(tmp_path / "record.jsonl")),
        cores=("tiny",),
        report=lambda mutant, result, by: results.append(result),
    )
    # A fault in hardware that no core contains is not proved harmless.
    assert results == [Result.EQUAL, Result.SURVIVED]
    text, share = summary(done, sites=len(found), seed=1)
    assert share == 0.0
    assert (
        "proved to change nothing: 1\n  hw/core/accel.py:16 (operator)\n    before self.a & self.a"
        in text
    )


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        (
            "FAILED tests/test_a.py::test[1-<lambda>] - assert 1 == 2",
            "tests/test_a.py::test[1-<lambda>]",
        ),
        ("FAILED tests/test_a.py::test[width 3]", "tests/test_a.py::test[width 3]"),
        ("ERROR tests/test_a.py - ImportError: no", "tests/test_a.py"),
        # A simulator's own log comes before pytest's summary.
        (
            "ERROR    Verilator:runner.py:674 Command failed\nFAILED tests/test_a.py::test_b - E",
            "tests/test_a.py::test_b",
        ),
        ("ERROR    Verilator:runner.py:674 Command failed", ""),
        ("", ""),
    ],
)
def test_name_of_the_test_that_failed(printed: str, name: str) -> None:
    assert failed(f"F\n=== FAILURES ===\n{printed}\n1 failed in 2.00s\n") == name


def test_tests_that_fail_anyway_say_nothing(tree: Path, tmp_path: Path) -> None:
    path = tree / "tests" / "test_adder.py"
    path.write_text(path.read_text().replace("== 3", "== 4"))
    found = sites(tree / "hw" / "adder.py", tree)
    with pytest.raises(MutationError, match="tests fail without a mutant"):
        run(
            *(tree, [Mutant(found[0], 0)], 1, Record(tmp_path / "record.jsonl")),
            report=lambda *_: None,
        )


def test_a_test_without_end_is_ended(tree: Path, tmp_path: Path) -> None:
    path = tree / "tests" / "test_endless.py"
    path.write_text("import time\n\n\ndef test_endless():\n    time.sleep(1000)\n")
    request = {
        "arguments": ["-q", "-p", "no:cacheprovider", str(path)],
        "output": str(tmp_path / "output"),
        "seconds": 3.0,
        "keep": False,
    }
    result = subprocess.run(
        [sys.executable, "-m", "penstock.sim.mutation.server"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(result.stdout)["status"] == -9


def test_digest_follows_every_source(tree: Path) -> None:
    before = digest(tree)
    assert digest(tree) == before
    (tree / "tests" / "test_fuzz.py").write_text("def test_other():\n    pass\n")
    assert digest(tree) != before


def test_record_outlives_a_run_that_was_killed(found: list[Site], tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    mutant = Mutant(found[0], 0)
    Record(path).add(mutant, Result.SURVIVED, "")
    path.write_text(path.read_text() + '{"mutant": "hw/b')
    assert Record(path).results == {mutant.key: (Result.SURVIVED, "")}


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutate.main(["--list", "--module", "hw/lib/delay.py"]) == 0
    assert "hw/lib/delay.py:21 operator: cycles < 0 -> cycles <= 0" in capsys.readouterr().out
    for arguments in (["--count", "0"], ["--module", "hw/none.py"], ["--jobs", "-1"]):
        with pytest.raises(SystemExit) as caught:
            mutate.main(arguments)
        assert caught.value.code == 2
