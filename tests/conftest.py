"""Fixtures of several test files."""

from __future__ import annotations

from pathlib import Path

import pytest

from host import cli, cli_progress
from tests.commands import Outcome, Run


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def penstock(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("PENSTOCK_CACHE", str(cache))
    # A slow machine must not add lines of progress to what is compared.
    monkeypatch.setattr(cli_progress, "DELAY", 600.0)

    def run(*arguments: str | Path) -> Outcome:
        status = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run
