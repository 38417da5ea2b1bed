"""The command reference as Markdown, generated from the commands; docs/conf.py writes it."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from penstock.host.cli.app import app

__all__ = ["commands_markdown"]

_HEAD = """# Commands

Every command with its options, as `penstock COMMAND --help` shows them. [Using
Penstock](using.md) says what they are for.
"""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def _command(name: str, command: Any, parent: Any) -> list[str]:
    context = command.context_class(command, info_name=name, parent=parent)
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    lines = ["", f"## {name}", "", inspect.cleandoc(command.help or ""), ""]
    lines += ["```text", usage, "```", "", "| | |", "|---|---|"]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            lines.append(f"| `{record[0]}` | {_cell(record[1])} |")
    return lines


def commands_markdown() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="penstock")
    lines = [_HEAD.rstrip()]
    for name, command in group.commands.items():
        if not command.hidden:
            lines += _command(name, command, context)
    return "\n".join(lines) + "\n"
