"""Floorplans: places for cells, written into a netlist before place and route."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.toolchain import Job

__all__ = ["give_places"]


def give_places(
    job: Job, *, attribute: str, settings: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the board's floorplan, if it has one, into `Job.netlist`.

    The option ``floorplan`` of the board is ``module:function``, called with the type of each cell
    by name and the arch, which gives the places of some of them.

    Parameters
    ----------
    job : Job
    attribute : str
        Of a cell; what the placer obeys.
    settings : mapping of str to str
        For the placer, written beside them.

    Raises
    ------
    BuildError
        If the arch has no place on the device.
    """
    function = job.board.options.get("floorplan")
    if function is None:
        return
    module, _, name = function.partition(":")
    floorplan = getattr(importlib.import_module(module), name)
    netlist: dict[str, Any] = json.loads(job.netlist.read_text(encoding="utf-8"))
    (top,) = netlist["modules"].values()
    kinds = {cell: content["type"] for cell, content in top["cells"].items()}
    try:
        places = floorplan(kinds, job.arch)
    except ValueError as error:
        reason = f"arch {job.arch.name} does not fit {job.board.name}: {error}"
        raise BuildError(reason) from None
    for cell, place in places.items():
        top["cells"][cell]["attributes"][attribute] = place
    top["settings"] = dict(settings)
    job.netlist.write_text(json.dumps(netlist), encoding="utf-8")
