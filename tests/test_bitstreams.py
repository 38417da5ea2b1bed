"""Real bitstreams, from the board's name to the file to load: minutes each, so few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from host import cli


@pytest.mark.parametrize(
    ("board", "arch", "file", "resource"),
    [
        # The small board as it is; for ECP5 a core of 4x4, with SDRAM and link.
        ("tang-nano-20k", "tang-nano-20k", "penstock.fs", "BSRAM"),
        ("ulx3s-85f", "tiny", "penstock.bit", "DP16KD"),
    ],
)
def test_bitstream(
    board: str,
    arch: str,
    file: str,
    resource: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = ["--board", board, "--arch", arch, "--seed", "1", "--out", str(out)]
    status = cli.run(["bitstream", *arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert (out / file).stat().st_size > 100_000
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["state"] == "done"
    assert file in manifest["files"]
    assert None not in manifest["tools"].values()
    report = json.loads((out / "report.json").read_text())
    assert report["timing_met"]
    assert report["resources"][resource]["used"] > 0
    assert report["critical_path"]
    assert "no difference from the golden model" in report["checks"][0]
    assert "was read back" in report["checks"][1]
    assert "estimate, not measured" in printed.out
