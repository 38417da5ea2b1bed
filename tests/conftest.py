"""Fixtures of several test files."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.host.cli.support import progress
from tests.support.commands import Outcome, Run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--measure",
        action="store_true",
        help="say which branches of the core and which descriptor fields the tests reach",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--measure"):
        # Imported late: pytest-cov does not measure modules imported before it started.
        from tests.support import measured

        config.pluginmanager.register(measured)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def penstock(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("PENSTOCK_CACHE", str(cache))
    # On a slow machine, progress lines must not appear in the compared output.
    monkeypatch.setattr(progress, "DELAY", 600.0)

    def run(*arguments: str | Path) -> Outcome:
        status = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run
