"""Options in groups: Typer sees their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from penstock.host.cli.support.option_groups import grouped


@dataclass(frozen=True)
class Size:
    wide: Annotated[int, typer.Option("--wide", min=1, help="Columns.")] = 3
    high: Annotated[int, typer.Option("--high", help="Rows.")] = 4


def test_groups(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[object] = []

    @grouped
    def command(
        name: Annotated[str, typer.Argument(help="A name.")],
        size: Size,
        large: Annotated[bool, typer.Option("--large")] = False,
    ) -> None:
        """Do it."""
        seen.append((name, size, large))

    @grouped
    def other(size: Size = Size(high=9)) -> None:
        seen.append(size)

    app = typer.Typer()
    app.command("command")(command)
    app.command("other")(other)
    runner = CliRunner()
    for arguments in (["command", "a"], ["command", "b", "--wide", "7", "--large"], ["other"]):
        assert runner.invoke(app, arguments).exit_code == 0
    assert seen == [("a", Size(), False), ("b", Size(7, 4), True), Size(3, 9)]
    assert runner.invoke(app, ["command", "a", "--wide", "0"]).exit_code == 2
    text = runner.invoke(app, ["command", "--help"]).output
    assert "Do it." in text and "Columns." in text and "--large" in text


def test_a_name_twice() -> None:
    def command(size: Size, wide: int = 1) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="command has two parameters called wide"):
        grouped(command)
