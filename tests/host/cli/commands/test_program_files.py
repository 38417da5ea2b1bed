"""`compile --explain` and `inspect` fit the terminal, and have one definition of efficiency."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.host.cli import app
from penstock.host.cli.support import fitted


@pytest.mark.parametrize("width", [80, 120])
def test_explanations_fit(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = str(tmp_path / "tiny.pst")
    monkeypatch.setattr(fitted, "terminal_width", lambda file=None: width)
    assert app.run(["compile", "tiny", "--arch", "tiny", "-o", program, "--explain"]) == 0
    assert app.run(["inspect", program]) == 0
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= width
    for text in ("taken: no other saves enough", "bottleneck: ", "only on the CPU", "17 735"):
        assert text in printed
    shares = [float(share) for share in re.findall(r"([\d.]+) %", printed)]
    assert shares
    assert max(shares) <= 100


def test_inspect_shows_the_digest_that_the_docs_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = str(tmp_path / "small.net")
    command = ["compile", "cifar10-quick", "--arch", "tiny", "-o", str(tmp_path / "small.pst")]
    assert app.run([*command, "--save-network", network]) == 0
    assert app.run(["inspect", network]) == 0
    assert "digest: 2d8aebd3ced56184\n" in capsys.readouterr().out
    page = Path(__file__).parents[4] / "docs" / "networks.md"
    assert "2d8aebd3ced56184 for `cifar10-quick`" in page.read_text(encoding="utf-8")


def test_seconds_are_those_of_the_archs_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = str(tmp_path / "lenet.pst")
    for arch, words in (
        ("tang-nano-20k", "Tang Nano 20K.*54 MHz"),
        ("tiny", "arch tiny, which is no board's own.*100 MHz"),
    ):
        command = ["compile", "lenet5-digits", "--arch", arch, "-o", program, "--explain"]
        assert app.run(command) == 0
        assert re.search(words, capsys.readouterr().out, re.DOTALL)
