"""Entries of the simulator's cache: whole, damaged, and where nothing can be written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.models.spec.cache_folder import spare_folder
from penstock.sim.library import entries
from penstock.sim.library.entries import cached


class Maker:
    """Makes a file, or a folder with a file, and counts."""

    def __init__(self, *, folder: bool) -> None:
        self.folder = folder
        self.made = 0

    def __call__(self, work: Path) -> Path:
        assert not list(work.iterdir())
        self.made += 1
        target = work / "made"
        if self.folder:
            target.mkdir()
        (target / "file" if self.folder else target).write_text("contents")
        return target


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _foreign(path: Path) -> None:
    """Another entry under this name, with its checksum."""
    other = cached(path.with_name("other"), Maker(folder=False))
    _remove(path)
    shutil.copy(other, path)
    shutil.copy(f"{other}.sha256", f"{path}.sha256")


_DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: os.truncate(path / "file" if path.is_dir() else path, 0),
    "half": lambda path: os.truncate(path / "file" if path.is_dir() else path, 4),
    "no checksum": lambda path: path.with_name(f"{path.name}.sha256").unlink(),
    "half a checksum": lambda path: os.truncate(f"{path}.sha256", 30),
    "foreign": _foreign,
    "another kind": lambda path: (_remove(path), (path / "x").mkdir(parents=True)),
}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("damage", _DAMAGE)
def test_damaged_entries_are_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, folder: bool
) -> None:
    make = Maker(folder=folder)
    path = tmp_path / "cache" / "entry.so"
    for _ in range(2):
        assert cached(path, make) == path
    assert make.made == 1
    assert capsys.readouterr().err == ""
    _DAMAGE[damage](path)
    for _ in range(2):
        assert cached(path, make) == path
    assert make.made == 2
    assert capsys.readouterr().err == f"penstock: {path} is damaged and is made again\n"
    assert (path / "file" if folder else path).read_text() == "contents"
    assert not list(path.parent.glob("build-*"))


@pytest.mark.parametrize("whole", [True, False])
def test_a_cache_that_cannot_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: bool,
) -> None:
    make = Maker(folder=False)
    path = tmp_path / "entry.so"
    if whole:
        cached(path, make)
    real = open

    def refused(name: Path | str, mode: str = "r") -> object:
        if str(name).startswith(str(tmp_path)) and mode == "w":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return real(name, mode)

    monkeypatch.setattr(entries, "open", refused, raising=False)
    spare_folder.cache_clear()
    found = cached(path, make)
    assert found.read_text() == "contents"
    assert make.made == 1
    said = capsys.readouterr().err
    if whole:
        assert (found, said) == (path, "")
    else:
        assert found.parent != tmp_path
        assert said.startswith(f"penstock: {tmp_path}: Read-only file system: nothing is kept")


def test_a_cache_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    spare_folder.cache_clear()
    assert cached(blocked / "entry.so", Maker(folder=False)).read_text() == "contents"
    assert capsys.readouterr().err.startswith(f"penstock: {blocked}: File exists: nothing is kept")


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(made: Path, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(entries, "seal", full)
    with pytest.raises(OSError, match=r"No space left on device.*entry\.so"):
        cached(tmp_path / "entry.so", Maker(folder=False))
