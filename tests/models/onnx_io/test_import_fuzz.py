"""The importer on random graphs, and with each of its known faults put back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from scripts import fuzz_import
from scripts.import_fuzz.campaign import Report, seed_verdicts
from scripts.import_fuzz.draft import Case, case_of
from scripts.import_fuzz.faults import FAULTS
from scripts.import_fuzz.kinds import case_of_seed
from scripts.import_fuzz.planted import Fault, Importer, planted
from scripts.import_fuzz.put_back import first_finding, found_again, stored
from scripts.import_fuzz.shrink import shrunk
from scripts.import_fuzz.verdict import Verdict, judged

KEPT = Path(__file__).parent / "faults"
FAULT = [pytest.param(fault, id=fault.name) for fault in FAULTS]


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_nothing_is_found_in_fixed_seeds(start: int) -> None:
    report = Report()
    for seed, verdict in seed_verdicts(range(start, start + 100)):
        report.add(seed, verdict)
    assert not report.findings, report.findings
    assert report.accepted > 0.6, report.text()


def test_equal_seeds_are_equal_graphs() -> None:
    for seed in range(40):
        first, second = case_of_seed(seed), case_of_seed(seed)
        assert first.model == second.model
        assert (first.mean, first.std, first.deploy) == (second.mean, second.std, second.deploy)


def test_a_case_comes_back_from_its_file() -> None:
    for seed in range(10):
        case = case_of_seed(seed)
        again = case_of(onnx.load_model_from_string(case.stamped().SerializeToString()))
        assert again.model.graph == case.model.graph
        assert (again.mean, again.std, again.seed) == (case.mean, case.std, case.seed)


@pytest.mark.parametrize("fault", FAULT)
def test_each_fault_is_found_at_import(fault: Fault) -> None:
    path = stored(KEPT, fault)
    assert not found_again(path, Importer.loaded()).finding
    assert found_again(path, planted(fault)).kind == "mismatch"
    # The fault is in modules of its own: those in use are as they were.
    assert not found_again(path, Importer.loaded()).finding


@pytest.mark.parametrize("fault", FAULT)
def test_random_graphs_find_each_fault(tmp_path: Path, fault: Fault) -> None:
    assert first_finding(fault, planted(fault), range(3000), tmp_path) is not None


def answers(error: Exception) -> Any:
    def load(path: Path, **settings: Any) -> Any:
        raise error

    return SimpleNamespace(load=load)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a.onnx: unsupported: Pad Pad_1 (mode reflect)"), "refused"),
        (ValueError("a.onnx: list index out of range"), "words"),
        (ValueError("two\nlines"), "words"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "why"), "words"),
        (IndexError("tuple index out of range"), "crash"),
    ],
)
def test_answers_are_told_apart(tmp_path: Path, error: Exception, kind: str) -> None:
    # The first seed that the judge can run.
    assert judged(case_of_seed(0), tmp_path, Importer.loaded().importer).kind == "equal"
    assert judged(case_of_seed(0), tmp_path, answers(error)).kind == kind


@pytest.mark.parametrize(
    "name",
    [
        "Pad merged into a pool with ceil_mode: windows counted without it",
        "an average after a merged Pad: divided without the padding",
        "zero points by output: not taken off",
        "Softmax over another axis: taken as over the channels",
    ],
)
def test_the_final_output_is_judged_without_the_importers_own_check(
    tmp_path: Path, name: str
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    importer = planted(fault).importer
    blind = SimpleNamespace(
        load=lambda path, **settings: importer.load(path, comparison=None, **settings)
    )
    kinds = set()
    for seed in range(1500):
        case = case_of_seed(seed)
        if {node.op_type for node in case.model.graph.node}.intersection(fault.operators):
            kinds.add(judged(case, tmp_path, blind).kind)
        if "wrong" in kinds:
            return
    raise AssertionError(kinds)


def test_what_fails_is_made_smaller(tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.name.startswith("an average after"))
    importer = planted(fault).importer

    def judge(case: Case) -> Verdict:
        return judged(case, tmp_path, importer)

    found = first_finding(fault, planted(fault), range(1000), tmp_path)
    assert found is not None
    small, verdict = shrunk(found[0], judge)
    assert verdict.kind == found[1].kind == "mismatch"
    assert [node.op_type for node in small.model.graph.node if node.input] == ["Pad", "AveragePool"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_import.main(["--count", "20", "--jobs", "1", "--to", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "20 graphs, " in text and "refused because" in text
    assert fuzz_import.main(["--replay", str(stored(KEPT, FAULTS[8]))]) == 0
    assert "AveragePool" in capsys.readouterr().out
    with pytest.raises(SystemExit) as error:
        fuzz_import.main(["--count", "0"])
    assert error.value.code == 2
