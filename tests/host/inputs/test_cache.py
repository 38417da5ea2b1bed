"""The cache on disk: limited in size, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.host.inputs.cache import cached
from penstock.models.spec.cache_folder import cache_dir


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
