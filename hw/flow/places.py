"""Floorplans: places for cells, written into a netlist before place and route."""

from __future__ import annotations

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

    Parameters
    ----------
    job : Job
    attribute : str
        Attribute of a cell that fixes its site.
    settings : mapping of str to str
        For the placer, written beside them.

    Raises
    ------
    BuildError
        If the arch does not fit the device.
    """
    floorplan = job.board.floorplan
    if floorplan is None:
        return
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
