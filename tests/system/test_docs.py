"""The generated pages are those of the tables as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.models.spec.behaviour import BEHAVIOUR
from penstock.models.spec.isa import FIELDS
from penstock.models.spec.reference_pages import isa_markdown, registers_markdown
from penstock.models.spec.regs import REGISTERS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "text"), [("isa", isa_markdown()), ("registers", registers_markdown())]
)
def test_pages_are_current(name: str, text: str) -> None:
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == text, "run make docs"


def test_pages_are_complete() -> None:
    page = isa_markdown()
    for op, fields in FIELDS.items():
        section = page.split(f"## {op.name}\n")[1].split("\n## ")[0]
        assert BEHAVIOUR[op].loops in section
        for field in fields:
            assert f"| `{field.name}` |" in section
    page = registers_markdown()
    for register in REGISTERS:
        assert f"| `{register.name}` | 0x{register.offset:02X} |" in page
