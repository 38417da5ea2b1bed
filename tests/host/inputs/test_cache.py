"""The cache on disk: limited in size, and never a reason to fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
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
    names = {path.name for path in cache_dir().iterdir()}
    assert names == {f"text-{n}{end}" for n in (5, 6, 7, 8) for end in ("", ".sha256")}
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PENSTOCK_CACHE", str(blocked / "cache"))
    assert keep("x") == "x"


def test_damaged_entries_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    made = []

    def keep(key: str) -> str:
        return cached(
            "text",
            key,
            load=lambda path: path.read_text(),
            save=lambda value, path: path.write_text(value) and None,
            make=lambda: made.append(key) or key,  # type: ignore[func-returns-value]
        )

    def damage_by_folder() -> None:
        (tmp_path / "text-a").unlink()
        (tmp_path / "text-a").mkdir()

    def foreign() -> None:
        keep("b")
        for end in ("", ".sha256"):
            shutil.copy(tmp_path / f"text-b{end}", tmp_path / f"text-a{end}")

    keep("a")
    damages: list[Callable[[], object]] = [
        lambda: (tmp_path / "text-a").write_text(""),
        lambda: (tmp_path / "text-a").write_text("other"),
        lambda: (tmp_path / "text-a.sha256").write_text(""),
        lambda: (tmp_path / "text-a.sha256").unlink(),
        damage_by_folder,
        foreign,
    ]
    for damage in damages:
        damage()
        made.clear()
        capsys.readouterr()
        assert keep("a") == "a"
        assert made == ["a"]
        said = f"penstock: {tmp_path}/text-a is damaged and is made again\n"
        assert capsys.readouterr().err == said
        assert keep("a") == "a"
        assert made == ["a"]
