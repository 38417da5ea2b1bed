"""The generated pages match the tables."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from penstock.host.apps.open_device import device_names
from penstock.host.inputs.catalog import MODELS
from penstock.models.spec.isa import FIELDS
from penstock.models.spec.isa_pseudocode import PSEUDOCODE, RULES
from penstock.models.spec.reference_pages import isa_markdown, registers_markdown
from penstock.models.spec.regs import REGISTERS
from scripts.command_page import commands_markdown
from scripts.tables import pages

ROOT = Path(__file__).parents[2]
PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "run make docs"


def test_the_instruction_set_is_complete() -> None:
    page = isa_markdown()
    assert set(PSEUDOCODE) == set(FIELDS)
    for text in RULES.values():
        assert text in page
    for op, fields in FIELDS.items():
        section = page.split(f"## {op.name}\n")[1].split("\n## ")[0]
        assert PSEUDOCODE[op].loops in section
        for field in fields:
            assert f"| `{field.name}` |" in section
            # Every field is used in the loops, except those common to all engines.
            common = field.name == "op" or field.name.startswith("wait_")
            said = f"{PSEUDOCODE[op].loops} {PSEUDOCODE[op].notes}"
            assert common or field.name in said or field.name in UNSAID, f"{op.name}.{field.name}"


# Fields whose meaning is all in their own line.
UNSAID = {"last", "mark", "lrn_shift", "stride_x", "in_w", "beats", "blocks"}


def test_registers_are_complete() -> None:
    page = registers_markdown()
    for register in REGISTERS:
        assert f"| `{register.name}` | 0x{register.offset:02X} |" in page


def test_commands_are_complete() -> None:
    page = commands_markdown()
    for command in ("classify", "profile", "compile", "doctor"):
        assert f"\n## {command}\n" in page
    assert "`--batch" in page
    assert "Images of one run." in page


def test_the_tree_names_every_folder() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for top in ("models", "hw", "host", "sim"):
        for path in (ROOT / top).rglob("__init__.py"):
            assert f"`{path.parent.relative_to(ROOT).as_posix()}/`" in page


def test_every_page_is_on_the_site() -> None:
    """Sphinx warns of a page that no menu shows; this says so without building the site."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    for path in (ROOT / "docs").glob("*.md"):
        listed = (
            path.stem in index
            or any(line.endswith(f"<{path.stem}>") for line in index)
            or (path.stem.startswith("adding_a_") and "adding_a_*" in index)
        )
        assert listed or path.stem in ("index", "cli"), f"docs/index.md does not list {path.stem}"


def test_the_command_that_board_env_names_can_be_run() -> None:
    """Its photograph is there, and the command line knows its model and device."""
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "board-env", "PYTHON310=python3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (command,) = re.findall(r"penstock: \S*(\.venv-board/bin/penstock-sim .*)\"", shown)
    words = shlex.split(command)
    assert words[1] == "classify"
    assert (ROOT / words[2]).is_file()
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options.keys() == {"--model", "--device"}
    assert options["--model"] in MODELS
    assert options["--device"] in device_names()
