"""Faults planted in the importer: its modules with one piece of source replaced.

The modules are loaded a second time beside the ones in use, so that nothing else is disturbed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Fault", "Importer", "planted"]

_FOLDERS = ("penstock.models.onnx_io", "penstock.models.onnx_export")


@dataclass(frozen=True)
class Fault:
    """One piece of source that was wrong once.

    Parameters
    ----------
    name : str
        What was wrong, in a few words.
    module : str
        Below `penstock.models`.
    before, after : str
        The piece as it is now, which the module has once, and as it is planted.
    operators : tuple of str
        Only graphs with one of these can show it.
    """

    name: str
    module: str
    before: str
    after: str
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Importer:
    """The modules that a graph is judged with (`verdict.judged`)."""

    importer: ModuleType
    written: tuple[ModuleType, ModuleType]

    @classmethod
    def loaded(cls) -> Importer:
        """Return the modules as they are imported now."""
        found = [
            importlib.import_module(f"penstock.models.{name}")
            for name in ("onnx_io.importer", "onnx_export.deploy_export", "onnx_io.written_check")
        ]
        return cls(found[0], (found[1], found[2]))


class _Replacing(SourceFileLoader):
    def __init__(self, name: str, path: str, fault: Fault) -> None:
        super().__init__(name, path)
        self._fault = fault

    def get_code(self, fullname: str) -> Any:
        # Never the compiled file: that is of the source as it stands.
        source = Path(self.path).read_text(encoding="utf-8")
        if source.count(self._fault.before) != 1:
            raise ValueError(f"fault {self._fault.name!r} does not fit {fullname} any more")
        return compile(source.replace(self._fault.before, self._fault.after), self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._name = f"penstock.models.{fault.module}"

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        file = Path(path[0]) / f"{fullname.rsplit('.', 1)[1]}.py"
        loader = _Replacing(fullname, str(file), self._fault)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def _ours(name: str) -> bool:
    return name.startswith(tuple(f"{folder}." for folder in _FOLDERS))


@contextmanager
def _aside() -> Iterator[None]:
    """The importer's modules forgotten for a while."""
    parents = {folder: importlib.import_module(folder) for folder in _FOLDERS}
    kept = {name: module for name, module in sys.modules.items() if _ours(name)}
    names = {folder: dict(vars(module)) for folder, module in parents.items()}
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for folder, module in parents.items():
            vars(module).clear()
            vars(module).update(names[folder])


def planted(fault: Fault) -> Importer:
    """Return the importer with a fault in it.

    Raises
    ------
    ValueError
        If the source does not have the piece that the fault replaces.
    """
    finder = _Finder(fault)
    with _aside():
        sys.meta_path.insert(0, finder)
        try:
            return Importer.loaded()
        finally:
            sys.meta_path.remove(finder)
