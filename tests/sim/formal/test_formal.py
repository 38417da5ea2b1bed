# amaranth: UnusedElaboratable=no
"""Tools of the proofs: true claims are proved, false ones refuted; `make formal` runs them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from amaranth import Signal

from penstock.sim.formal.__main__ import main
from penstock.sim.formal.catalog import PROOFS, with_proofs
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.proof import Fault, Proof, find_fault, prove
from penstock.sim.formal.checking.variants import variant

DOCS = Path(__file__).parents[3] / "docs"
STREAM = "penstock.hw.lib.register_slice"


def counter(limit: int, claim: int, cover: int) -> Harness:
    """Counts to `limit`; the count starts at 0, a register without a reset anywhere."""
    h = Harness()
    count, other = Signal(4), Signal(4, reset_less=True)
    h.m.d.sync += [count.eq(count + (h.free(1, "go") & (count != limit))), other.eq(other)]
    h.claim("small", count <= claim)
    h.claim("kept", h.rigid(4, "rigid") <= 15)
    h.cover("reached", (count == cover) & (other == 9))
    return h


def proof(limit: int, claim: int, cover: int = 1, **keywords: Any) -> Proof:
    return Proof(
        name="counter",
        module=STREAM,
        build=lambda _: counter(limit, claim, cover),
        claims="",
        faults=(),
        **keywords,
    )


def test_true_claims_are_proved() -> None:
    assert prove(proof(5, 5), timeout=60).problem == ""
    assert prove(proof(5, 4, depth=5), timeout=60).problem == ""


def test_false_claims_are_found_and_named() -> None:
    for entry, cycles in ((proof(5, 4), 5), (proof(5, 4, depth=6), 5), (proof(0, -1, cover=0), 0)):
        problem = prove(entry, timeout=60).problem
        assert problem == f"false: small, {cycles} cycles after the reset"


def test_what_never_happens_is_told() -> None:
    assert "never happens in 30 cycles: reached" in prove(proof(5, 5, cover=6), timeout=60).problem


def test_a_fault_that_is_not_found_is_told() -> None:
    original = next(p for p in PROOFS if p.module == STREAM)
    harmless = Fault(
        "payload = Signal(len(given), reset_less=True)", "payload = Signal(len(given))"
    )
    assert "not found" in find_fault(original, harmless, timeout=60).problem


def test_assumptions_hold_from_the_start() -> None:
    h = Harness()
    seen = Signal()
    go = h.free(1, "go")
    h.m.d.sync += seen.eq(seen | go)
    h.assume(~go)
    h.claim("never", ~seen)
    assert (
        prove(
            Proof(name="x", module=STREAM, build=lambda _: h, claims="", faults=()), timeout=60
        ).problem
        == ""
    )


def test_variants_differ_in_one_place() -> None:
    module = variant(STREAM, edit=("full | self.i.valid", "self.i.valid"), names={"Mux": 7})
    assert module.Mux == 7 and module.RegisterSlice is not None
    with pytest.raises(ValueError, match="once, not 0 times"):
        variant(STREAM, edit=("no such text", ""))


@pytest.mark.parametrize("entry", PROOFS, ids=lambda entry: entry.name)
def test_every_proof_has_faults_that_its_source_can_have(entry: Proof) -> None:
    assert entry.faults
    for fault in entry.faults:
        variant(entry.module, edit=(fault.old, fault.new))


def test_names_differ() -> None:
    assert len({entry.name for entry in PROOFS}) == len(PROOFS)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such proof"]) == 2
    assert "no proof is called" in capsys.readouterr().err


def test_the_table_is_current() -> None:
    page = (DOCS / "verification.md").read_text(encoding="utf-8")
    assert with_proofs(page) == page, "run make docs"
