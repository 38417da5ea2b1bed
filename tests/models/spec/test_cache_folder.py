"""Where files are kept, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.models.spec.cache_folder import cache_dir, digest


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/penstock")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "penstock"


def test_names_tell_contents_apart() -> None:
    assert digest(["ab", b"c"]) == digest([b"ab", "c"])
    names = {digest(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], [])}
    assert len(names) == 5
    assert {len(name) for name in names} == {24}
