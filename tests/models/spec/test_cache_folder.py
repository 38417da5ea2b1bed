"""Where files are kept, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.models.spec.cache_folder import cache_dir, digest, spare_folder


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/penstock")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "penstock"


@pytest.mark.parametrize("explicit", ["", "~no-such-user/x"])
def test_without_a_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], explicit: str
) -> None:
    # A user without HOME or an entry in the list of users, as containers have.
    monkeypatch.setenv("PENSTOCK_CACHE", explicit)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    spare_folder.cache_clear()
    folder = cache_dir()
    assert folder.is_dir()
    assert cache_dir() == folder
    assert capsys.readouterr().err.count("no home folder is known") == 1


def test_names_tell_contents_apart() -> None:
    assert digest(["ab", b"c"]) == digest([b"ab", "c"])
    names = {digest(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], [])}
    assert len(names) == 5
    assert {len(name) for name in names} == {24}
