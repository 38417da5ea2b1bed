"""Arches as TOML files, and the lookup of an arch by preset, size or file name.

A file has the parameters of `models.spec.arch.Arch`, by their names, and two keys more::

    base = "lab"        # default for keys not given: a preset or ROWSxCOLS; optional
    name = "wide"       # a display name; default the file's name
    rows = 8
    cols = 32
    act_words = 4096
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from penstock.models.spec.arch import ARCHES, Arch, get_arch

__all__ = ["SUFFIX", "find_arch", "load_arch", "to_toml"]

SUFFIX = ".toml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_PARAMETERS = tuple(field.name for field in fields(Arch) if field.name != "name")
_NEEDED = tuple(
    field.name for field in fields(Arch) if field.name != "name" and field.default is MISSING
)


def find_arch(name: str) -> Arch:
    """Return the arch that `name` stands for: a preset, ROWSxCOLS, or the path of a TOML file.

    Raises
    ------
    ValueError
        If there is no such arch, or the file is not one; the message names it.
    OSError
        If the file cannot be read.
    """
    if name.endswith(SUFFIX) or os.sep in name:
        return load_arch(Path(name))
    try:
        return get_arch(name)
    except ValueError as error:
        if "ROWSxCOLS" in str(error):  # it is no name at all
            known = ", ".join(ARCHES)
            raise ValueError(
                f"arch must be one of {known}, ROWSxCOLS such as 12x32, or a {SUFFIX} file, "
                f"not {name!r}"
            ) from None
        raise


def load_arch(path: Path) -> Arch:
    """Read an arch from a file.

    Raises
    ------
    ValueError
        If the file is not an arch; the message has the file, the key, its value and what is
        allowed.
    OSError
        If it cannot be read.
    """
    data = path.read_bytes()
    toml = _reader(path)
    try:
        values: dict[str, Any] = toml.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    except toml.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        where = f"line {place[1]} is not TOML" if place else "its last line is not whole"
        raise ValueError(f"{path}: {where}: a line is a key and its value, rows = 8") from None
    try:
        return _arch(values, default_name=path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _reader(path: Path) -> Any:
    """The module that reads TOML: Python's `tomllib`, or the package tomli."""
    for module in ("tomllib", "tomli"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError:
            continue
    raise ValueError(
        f"{path}: this Python cannot read TOML: pip install tomli, or use Python 3.11 or newer"
    )


def _arch(values: Mapping[str, Any], *, default_name: str) -> Arch:
    unknown = [key for key in values if key not in ("base", "name", *_PARAMETERS)]
    if unknown:
        raise ValueError(
            f"{unknown[0]} = {values[unknown[0]]!r} is no key of an arch, which has base, name, "
            + ", ".join(_PARAMETERS)
        )
    given: dict[str, Any] = {}
    base = values.get("base")
    if base is not None:
        with contextlib.suppress(ValueError):
            given = asdict(get_arch(base)) if isinstance(base, str) else {}
        if not given:
            raise ValueError(
                f"base must be one of {', '.join(ARCHES)}, or ROWSxCOLS such as 12x32, not {base!r}"
            )
        del given["name"]
    given.update((key, value) for key, value in values.items() if key in _PARAMETERS)
    missing = [key for key in _NEEDED if key not in given]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing: give them, or a base that has them")
    name = values.get("name", default_name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name must be up to 40 letters, digits, dots, dashes and underscores, not {name!r}"
        )
    arch = Arch(name=name, **given)
    if name in ARCHES and arch != ARCHES[name]:
        raise ValueError(f"name must not be that of a preset with other parameters, not {name!r}")
    return arch


def to_toml(arch: Arch) -> str:
    """Return the text of a file that `load_arch` reads as `arch`."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in asdict(arch).items())
