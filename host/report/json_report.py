"""The JSON reports of `classify`, `profile`, `quantize` and `switch`; their keys are stable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from penstock.host.apps.model_switch import Request, Switch
from penstock.host.devices.device import Device
from penstock.host.program.program import Program
from penstock.host.report.layer_profile import LayerFigures, LayerProfile, distinct_logs
from penstock.host.runtime.session import Result
from penstock.models.quant.sqnr import LayerError

__all__ = ["as_file", "layer_json", "quantise_json", "run_json", "run_seconds", "switch_json"]


def as_file(report: Mapping[str, Any], indent: int = 2) -> bytes:
    """Return the text of a report's file."""
    return json.dumps(report, indent=indent).encode() + b"\n"


def run_seconds(results: Iterable[Result]) -> float:
    """Return the seconds that the device ran."""
    return sum(log.seconds for log in distinct_logs(result.log for result in results))


def layer_json(layer: LayerFigures) -> dict[str, Any]:
    """Return one layer's part of `run_json`; ``efficiency`` is null if nothing was counted."""
    return {
        "name": layer.name,
        "macs": layer.macs,
        "cycles": layer.cycles,
        "efficiency": layer.efficiency,
        "padding": layer.padding,
        "stalls": layer.stalls,
        "ddr_read_bytes": layer.read_bytes,
        "ddr_write_bytes": layer.write_bytes,
    }


def run_json(
    profile: LayerProfile,
    *,
    model: str,
    device: str,
    images: Sequence[tuple[str, Result]],
    checked: bool,
    layers: Iterable[LayerFigures] | None = None,
    wall_seconds: float,
) -> dict[str, Any]:
    """Return the report of `classify` and `profile`.

    Parameters
    ----------
    profile : LayerProfile
        Profile over all images.
    model, device : str
    images : sequence of (str, Result)
        Path and result of each image.
    checked : bool
        Whether feature maps were compared: otherwise ``mismatches`` is null.
    layers : iterable of LayerFigures, optional
        Layers to list; None: all.
    wall_seconds : float
        Wall-clock time of the whole command.
    """
    results = [result for _, result in images]
    total = profile.total
    return {
        "model": model,
        "arch": profile.arch.name,
        "device": device,
        "images": [
            {
                "path": path,
                "top": [
                    {"index": answer.index, "label": answer.label, "score": answer.score}
                    for answer in result.top
                ],
                "mismatches": result.mismatch_count if checked else None,
            }
            for path, result in images
        ],
        "layers": [layer_json(layer) for layer in (profile if layers is None else layers)],
        "totals": {
            "macs": total.macs,
            "cycles": total.cycles,
            "efficiency": total.efficiency,
            "ddr_bytes": total.read_bytes + total.write_bytes,
            "sim_seconds": run_seconds(results),
            "cpu_seconds": sum(result.cpu_seconds for result in results),
            "wall_seconds": wall_seconds,
        },
    }


def quantise_json(model: str, rows: Iterable[LayerError], images: int) -> dict[str, Any]:
    """Return the report of `quantize`; ``sqnr`` is null without noise."""
    return {
        "model": model,
        "images": images,
        "layers": [
            {**asdict(row), "sqnr": row.sqnr if abs(row.sqnr) < 1e9 else None} for row in rows
        ],
    }


def switch_json(
    device: Device,
    made: Sequence[Request],
    switches: Sequence[Switch],
    programs: Mapping[str, Program],
    loads: Mapping[str, float],
) -> dict[str, Any]:
    """Return the report of `switch`."""
    return {
        "arch": device.arch.name,
        "device": device.name,
        "models": [
            {
                "model": each.name,
                "memory_bytes": programs[each.name].arena_bytes,
                "image_bytes": len(programs[each.name].image),
                "cycles_after_itself": each.cycles_after_itself,
                "cycles_after_another": each.cycles_after_another,
                "switch_cycles": each.cycles,
                "register_writes": each.register_writes,
                "register_changes": each.register_changes,
                "host_seconds_after_itself": each.host_seconds_after_itself,
                "host_seconds_after_another": each.host_seconds_after_another,
                "load_seconds": loads[each.name],
            }
            for each in switches
        ],
        "requests": [request.to_json() for request in made],
    }
