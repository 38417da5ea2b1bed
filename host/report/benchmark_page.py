"""The benchmark's results as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from penstock.models.spec.number_format import grouped, percent

__all__ = ["page"]

_HEAD = """# Benchmarks

Written by `make bench`, from one run; do not edit.

Cycles are counted by the accelerator's own RTL, simulated with the memory model of
[using.md](using.md): {rate} bytes a cycle for all ports together, {latency} cycles of latency,
{stalled} of the beats held up. They go from the start bit to the last byte in memory; LRN,
pooling, loading and storing are included, and so is the first load of the image. Efficiency is the
network's own multiply-accumulates (no padding counted) against the peak of the array. Every run is
compared with the golden model, bit for bit.
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _megabytes(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.2f} MB"


def _layers(run: dict[str, Any], other: dict[str, Any] | None) -> str:
    """Table of layers: measured, ideal, SCALE-Sim."""
    known = {layer["name"]: layer for layer in other["layers"]} if other else {}
    rows = []
    for layer in [*run["layers"], {"name": "**all**", **run["totals"]}]:
        whole = other["totals"] if other and layer["name"] == "**all**" else None
        found = whole or known.get(layer["name"])
        rows.append(
            [
                layer["name"],
                f"{layer['macs'] / 1e6:.1f} M",
                grouped(layer["cycles"]),
                percent(layer["efficiency"]) if layer["macs"] else "",
                grouped(layer["ideal_cycles"]),
                grouped(found["cycles"]) if found else "not run" if not other else "",
                percent(found["efficiency"]) if found else "",
            ]
        )
    head = [
        "layer",
        "MACs",
        "cycles",
        "efficiency",
        "ideal cycles",
        "SCALE-Sim cycles",
        "its efficiency",
    ]
    return _table(head, rows)


def _arrays(runs: list[dict[str, Any]]) -> str:
    rows = []
    for run in runs:
        worked = [layer for layer in run["layers"] if layer["macs"]]
        worst = min(worked, key=lambda layer: layer["efficiency"])
        totals, seconds = run["totals"], run["seconds"]["simulation"]
        rows.append(
            [
                f"{run['model']}, {run['rows']}x{run['cols']}",
                grouped(totals["cycles"]),
                percent(totals["efficiency"]),
                f"{worst['name']} {percent(worst['efficiency'])}",
                _megabytes(totals["bytes"]),
                _megabytes(totals["least_bytes"]),
                f"{seconds:.1f} s",
                f"{totals['cycles'] / seconds / 1e6:.2f} M",
            ]
        )
    head = ["array", "cycles", "efficiency", "least layer", "bytes", "least bytes"]
    return _table([*head, "simulated in", "cycles a second"], rows)


def _published(rows: list[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        share = "" if row["efficiency"] is None else f"{100 * row['efficiency']:g} %"
        cells.append([row["name"], share, _megabytes(row["bytes"])])
    text = _table(["design", "efficiency", "bytes an image"], cells)
    return (
        text + "\n" + "".join(f"* {row['name']}: {row['source']}. {row['note']}.\n" for row in rows)
    )


def page(results: dict[str, Any]) -> str:
    """Return the page for the result of `host.report.benchmark.measure`."""
    memory, scale = results["memory"], results["scalesim"]
    parts = [
        _HEAD.format(
            rate=memory["bytes_per_cycle"],
            latency=memory["latency"],
            stalled=f"{100 * (1 - memory['rate']):.0f} %",
        )
    ]
    compared = {run["model"]: run for run in scale["runs"]} if scale else {}
    first = results["runs"][0]["arch"]
    for run in results["runs"]:
        if run["arch"] == first:
            title = f"## {run['model']}, {run['rows']}x{run['cols']}, layer by layer\n"
            parts += [title, _layers(run, compared.get(run["model"]))]
    version = f" {scale['version']}" if scale else ""
    parts.append(
        "A layer ends with its last byte in memory, when the array has long begun the next one: "
        "so a layer may take fewer cycles than is ideal, all of them together may not.\n\n"
        "The ideal is what the program's weight blocks take in an array that never waits. "
        f"SCALE-Sim{version} models a plain weight-stationary array of the same size with a "
        "perfect memory; its input has our padding, and a layer of two groups is simulated as "
        "two.\n"
    )
    parts += ["## All arrays\n", _arrays(results["runs"])]
    parts.append(
        "The least bytes are each layer's weights once, its input once and its output once. The "
        "time is of one core of the machine that wrote this page, whatever else it was doing.\n"
    )
    parts += ["## What others publish for the convolutions of AlexNet\n"]
    parts.append(_published(results["published"]))
    return "\n".join(parts)
