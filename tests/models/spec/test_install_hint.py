"""The command that a message gives works: penstock is in no index."""

from __future__ import annotations

import re
from pathlib import Path

import tomllib

from penstock.models.spec.install_hint import install_hint

ROOT = Path(__file__).parents[3]


def test_from_a_checkout_and_from_a_wheel(tmp_path: Path) -> None:
    assert install_hint("sim") == f"pip install -e '{ROOT}[sim]'"
    assert install_hint("sim", tmp_path).startswith("pip install 'penstock[sim] @ file:///")


def test_messages_name_extras_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    used = set()
    for folder in ("host", "hw", "models", "sim", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            used |= set(re.findall(r"install_hint\('(\w+)'\)", text))
            if path.name not in ("install_hint.py", "__main__.py"):
                assert "pip install 'penstock" not in text, path
    assert used <= set(project["optional-dependencies"])
    assert {"sim", "pynq", "serial"} <= used
