"""A flat netlist in Yosys' JSON, to be changed between synthesis and place and route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["FlatNetlist"]


class FlatNetlist:
    """The only module of a netlist.

    Parameters
    ----------
    path : Path
        Read here, rewritten by `save`.

    Attributes
    ----------
    cells : dict
        As in the file, by name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._design: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        (top,) = self._design["modules"].values()
        self.cells: dict[str, Any] = top["cells"]
        self._names: dict[str, Any] = top["netnames"]
        used = (bit for net in self._names.values() for bit in net["bits"] if isinstance(bit, int))
        self._fresh = 1 + max(used, default=0)

    def add(self, name: str, port: str, cell: dict[str, Any]) -> int:
        """Add a cell called `name`; its output `port` gets a new net, which is returned."""
        bit = self._fresh
        self._fresh += 1
        cell["connections"][port] = [bit]
        self.cells[name] = cell
        # No cell may have its name.
        self._names[f"{name}_{port}"] = {"hide_name": 1, "bits": [bit], "attributes": {}}
        return bit

    def save(self) -> None:
        """Write it back."""
        self._path.write_text(json.dumps(self._design), encoding="utf-8")
