"""Options that belong together, as one parameter of a command.

A command takes a dataclass whose fields are annotated as Typer's parameters are::

    @dataclass(frozen=True)
    class RunOptions:
        batch: Annotated[int, typer.Option("--batch", min=1)] = 1

    @grouped
    def classify(images: ..., run: RunOptions, top: ... = 5) -> None: ...

and Typer sees the fields in its place.  A default, ``run: RunOptions = RunOptions(batch=4)``, gives
the fields other defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

__all__ = ["grouped"]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the fields of its dataclasses as its own parameters.

    Raises
    ------
    ValueError
        If two parameters have the same name.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: dict[str, inspect.Parameter] = {}
    groups: dict[str, tuple[type, list[str]]] = {}

    def add(name: str, default: object, annotation: object) -> None:
        if name in parameters:
            raise ValueError(f"{command.__name__} has two parameters called {name}")
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters[name] = inspect.Parameter(name, kind, default=default, annotation=annotation)

    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if not is_dataclass(hint):
            add(parameter.name, parameter.default, hint)
            continue
        assert isinstance(hint, type)
        given = hint() if parameter.default is inspect.Parameter.empty else parameter.default
        inside = get_type_hints(hint, include_extras=True)
        for field in fields(hint):
            add(field.name, getattr(given, field.name), inside[field.name])
        groups[parameter.name] = hint, [field.name for field in fields(hint)]

    def call(**values: Any) -> None:
        for name, (group, names) in groups.items():
            values[name] = group(**{each: values.pop(each) for each in names})
        command(**values)

    call.__name__, call.__module__ = command.__name__, command.__module__
    call.__doc__ = command.__doc__
    call.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    call.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return call
