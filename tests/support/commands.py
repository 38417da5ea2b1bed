"""Run `penstock` commands in this process, with their output, and check refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "Run", "classify", "refused"]


@dataclass
class Outcome:
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


def classify(penstock: Run, *arguments: str | Path) -> Outcome:
    return penstock(
        "classify", "--model", "tiny", "--device", "functional", "--arch", "tiny", *arguments
    )


def refused(outcome: Outcome, *texts: str) -> None:
    """Check for one line on standard error with the given texts, and status 2."""
    assert outcome.status == 2, outcome
    assert outcome.err.startswith("penstock: ")
    assert len(outcome.err.splitlines()) == 1, outcome.err
    for text in texts:
        assert text in outcome.err, outcome.err
