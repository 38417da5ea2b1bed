"""Copies of modules with changes: a planted fault, or a block replaced by its contract."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["variant"]


def variant(
    name: str, *, edit: tuple[str, str] | None = None, names: Mapping[str, Any] | None = None
) -> types.ModuleType:
    """Execute a module's source again, with changes.

    Parameters
    ----------
    name : str
        Of the module, e.g. ``"penstock.hw.bus.dma"``.  It is not changed itself.
    edit : (str, str) or None
        A piece of its source that occurs once, and its replacement in the copy.
    names : mapping or None
        Global names of the copy to be replaced.

    Raises
    ------
    ValueError
        If the piece does not occur exactly once.
    """
    original = importlib.import_module(name)
    source = inspect.getsource(original)
    if edit is not None:
        if source.count(edit[0]) != 1:
            raise ValueError(
                f"{name} must have {edit[0]!r} once, not {source.count(edit[0])} times"
            )
        source = source.replace(*edit)
    copy = types.ModuleType(name)
    copy.__file__ = original.__file__
    exec(compile(source, str(original.__file__), "exec"), vars(copy))
    vars(copy).update(names or {})
    return copy
