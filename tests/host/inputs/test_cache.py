"""The cache on disk: limited in size, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.host.inputs.cache import cache_dir, cached


def test_cache_keeps_few_and_needs_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))

    def keep(key: str) -> str:
        return cached(
            "text",
            key,
            load=lambda path: path.read_text(),
            save=lambda value, path: path.write_text(value) and None,
            make=lambda: key,
        )

    for index in range(9):
        assert keep(f"{index}") == f"{index}"
    assert len(list(cache_dir().iterdir())) == 4
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PENSTOCK_CACHE", str(blocked / "cache"))
    assert keep("x") == "x"


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/penstock")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "penstock"
