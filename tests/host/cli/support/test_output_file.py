"""Output files are written atomically."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.host.cli.support.exit_status import InputError, WorkError
from penstock.host.cli.support.output_file import OutputFile


def test_read_only_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, who may run this test.
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="permission denied"):
        OutputFile(path)


def test_output_through_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with OutputFile(link) as output:
        output.commit(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_nothing_is_left_without_commit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyError), OutputFile(path):
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_commit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with OutputFile(path) as output:
        assert not path.exists()
        output.commit(lambda place: place.write_text("new") and None)
    assert path.read_text() == "new"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        place.write_text("half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "a"
    with (
        pytest.raises(WorkError, match="a: cannot write: no space left"),
        OutputFile(path) as output,
    ):
        output.commit(fail)
    assert list(tmp_path.iterdir()) == []
