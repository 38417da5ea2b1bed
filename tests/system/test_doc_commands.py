"""Commands and examples in the documentation work.

Blocks of a page are run in their order, in one temporary folder that has ``photo.jpg``, ``photos/``
and the checkout's ``models/``, and their output is compared with the page.  Blocks excluded by a
comment with a reason are only parsed: command and options must exist.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib
import typer

from penstock.host.cli.app import app
from penstock.models.data.shipped import PHOTOS
from tests.support.doc_blocks import COMMANDS, Block, blocks, inline_commands, unlike

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "cli.md"),
]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
# Third-party programs, and shell built-ins.
OTHERS = {
    *(".", "cd", "cp", "mkdir", "ls", "cat", "sh", "git", "ssh", "scp", "sudo", "apt-get", "nix"),
    *("openFPGALoader", "gtkwave", "surfer", "export", "verilator", "iverilog"),
}
LANGUAGES = {*COMMANDS, "python", "text", "verilog", "json", "toml", "yaml"}
NAMES = [path.name for path in PAGES]
END = "--- end of a command ---"


def penstock_error(words: list[str]) -> str | None:
    """Say what is wrong with a command of `penstock`, without running it."""
    group: Any = typer.main.get_command(app)
    if not words or words[0].startswith("-"):
        command, rest = group, words
    elif words[0] not in group.commands:
        return f"penstock has no command {words[0]}"
    else:
        command, rest = group.commands[words[0]], words[1:]
    context = command.context_class(command, info_name="penstock")
    try:
        command.make_parser(context).parse_args(list(rest))
    except Exception as error:  # typer's usage errors have no common base in all its versions
        return str(error) or type(error).__name__
    return None


def pip_error(words: list[str]) -> str | None:
    """Say what is wrong with ``pip ...``: an extra that is not there, a package on no index."""
    for word in words:
        if word.startswith("penstock") and not word.endswith(".whl"):
            return f"{word} is on no index"
        match = re.fullmatch(r"\.\[([\w,]+)\]", word)
        for extra in match[1].split(",") if match else ():
            if extra not in EXTRAS:
                return f"pyproject.toml has no extra {extra}"
    return None


def command_error(command: str) -> str | None:
    """Say what is wrong with a line of shell, without running it."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
        del words[0]
    if not words:
        return None
    program, *rest = words
    if program in ("penstock", ".venv-board/bin/penstock-sim"):
        return penstock_error(rest)
    if program == "pip":
        return pip_error(rest)
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word not in TARGETS]
        return f"the Makefile has no target {unknown[0]}" if unknown else None
    if program in ("python", "python3", ".venv/bin/python"):
        if rest[:2] == ["-m", "pip"]:
            return pip_error(rest[2:])
        if rest[:1] == ["-m"]:
            missing = importlib.util.find_spec(rest[1]) is None
            return f"there is no module {rest[1]}" if missing else None
        return None if rest and rest[0].endswith(".py") else f"unclear: {command}"
    return None if program in OTHERS else f"unknown program {program}"


def runs(block: Block) -> bool:
    return block.language in (*COMMANDS, "python") and not block.reason


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_say_what_they_are(page: Path) -> None:
    """A block without a language would be neither run nor read."""
    for block in blocks(page):
        known = block.language in LANGUAGES or block.language.startswith("{")
        assert known, f"{page.name}:{block.line} is of no known language: {block.language!r}"
        if block.reason:
            assert block.language in (*COMMANDS, "python"), f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page: Path) -> None:
    wrong = [
        f"{page.name}:{block.line}: {command}: {error}"
        for block in blocks(page)
        if block.language in COMMANDS
        for command in block.commands()
        if (error := command_error(command)) is not None
    ]
    for words in inline_commands(page):
        if (error := penstock_error(words[1:])) is not None:
            wrong.append(f"{page.name}: {' '.join(words)}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(runs, blocks(page)))], ids=lambda page: page.name
)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PHOTOS, tmp_path / "photos")
    shutil.copy(PHOTOS / "chelsea.jpg", tmp_path / "photo.jpg")
    (tmp_path / "models").symlink_to(ROOT / "models")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in filter(runs, blocks(page)):
        where = f"{page}:{block.line}"
        if block.language == "python":
            # As many lines ahead as in the page, so that a traceback points to the right one.
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
            continue
        # One shell, so that `cd` lasts; what each command prints ends with a line of its own.
        script = "".join(f"{command}\necho {END}\n" for command in block.commands())
        done = subprocess.run(
            ["bash", "-e", "-c", script], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{where}\n{script}\n{done.stdout}\n{done.stderr}"
        if block.differs:
            continue
        for (command, shown), printed in zip(block.dialogue(), done.stdout.split(f"{END}\n")):
            if any(line.strip() for line in shown):
                wrong = unlike(shown, printed.splitlines())
                assert not wrong, f"{where}\n{command}\nshown: {wrong}\nprinted:\n{printed}"


def test_a_wrong_output_is_found() -> None:
    printed = ["a  table", "", " 1   2", " 3   4", "end"]
    for shown in (printed, ["a table", "...", "end"], ["...", "3 4", "end"], ["a table", "..."]):
        assert not unlike(shown, printed), shown
    for shown, line in (
        (["a table", "1 3", "..."], "1 3"),
        (["a table", "...", "4 3", "end"], "4 3"),
        (["a table", "end"], "end"),
        ([*printed, "more"], "more"),
        (printed[:3], "nothing more, not 3 4"),
    ):
        assert unlike(shown, printed) == line


def test_a_wrong_command_is_found() -> None:
    for command in (
        "penstock classfy photo.jpg",
        "penstock classify photo.jpg --topp 3",
        "make bitstreams",
        "pip install 'penstock[cli]'",
        "pip install -e '.[clii]'",
        "python -m penstock.host.nothing",
        "frobnicate",
    ):
        assert command_error(command) is not None, command
    for command in (
        "penstock classify photo.jpg --top 3  # a comment",
        "penstock --help",
        "make bench BENCH=--without-scalesim",
        "pip install -e '.[sim,cli]'",
        "PENSTOCK_DEBUG=1 python -m penstock doctor",
    ):
        assert command_error(command) is None, command
