"""What the parser refuses: one line that names the option, what is allowed and what was given."""

from __future__ import annotations

import re

import pytest

from penstock.host.cli import app
from penstock.host.cli.support.usage_error import usage_message


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["classify", "a.jpg", "--top", "0"], ["--top", "1", "0"]),
        (["classify", "a.jpg", "--batch", "many"], ["--batch", "many"]),
        (["screen", "a", "--coarse-threshold", "3"], ["--coarse-threshold", "1", "3"]),
        (["screen", "a", "--coarse-threshold", "low"], ["--coarse-threshold", "low"]),
        (["classify"], ["IMAGE"]),
        (["classify", "a.jpg", "--nothing"], ["--nothing"]),
    ],
)
def test_one_line(
    arguments: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("penstock: ")
    for name in names:
        assert name in line
    # Nothing of the validator's own words.
    assert not re.search(r"Input should|unable to parse|pydantic", line)


class Refused(ValueError):
    """As the parser's validator raises it."""

    def __init__(self, kind: str, given: str, limits: dict[str, float]) -> None:
        super().__init__("1 validation error")
        self._found = [{"type": kind, "input": given, "ctx": limits}]

    def errors(self) -> list[dict[str, object]]:
        return list(self._found)


class Option:
    opts = ("-n", "--number")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (Refused("int_parsing", "x", {}), "--number must be a whole number, not 'x'"),
        (Refused("float_parsing", "x", {}), "--number must be a number, not 'x'"),
        (Refused("greater_than_equal", "0", {"ge": 1}), "--number must be at least 1, not '0'"),
        (Refused("less_than_equal", "2", {"le": 0.5}), "--number must be at most 0.5, not '2'"),
        (Refused("other", "2", {}), "as it came (see penstock --help)"),
    ],
)
def test_what_was_wanted(refused: Refused, message: str) -> None:
    error = ValueError("usage")
    error.param = Option  # type: ignore[attr-defined]
    error.__cause__ = refused
    assert usage_message(error, "as it\n came") == message
    error.__cause__ = None
    assert usage_message(error, "as it\n came") == "as it came (see penstock --help)"
