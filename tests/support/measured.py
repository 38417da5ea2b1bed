"""A pytest plugin that measures coverage of the hardware: ``pytest --measure``.

Devices called ``rtl`` on arch `ARCH` are simulated with branch coverage of the core
(`sim.coverage.covered`), and the descriptors of every program that a device called ``rtl`` runs are
counted (`sim.coverage.field_classes`).  With pytest-xdist each worker counts separately, and the
summary adds the counts.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.host.devices import rtl
from penstock.host.devices.device import Buffer
from penstock.host.devices.rtl_model import ModelError
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch, get_arch
from penstock.sim.coverage.covered import Branch, branches_of
from penstock.sim.coverage.field_classes import FieldCounts
from penstock.sim.library.build import library

__all__ = ["ARCH", "branch_table", "field_table"]

# The array of most tests; a library with branch coverage takes a minute for each array.
ARCH = get_arch("tiny")

_ROOT = Path(__file__).resolve().parents[2]
_WIDTH = 100

# Of this process: the numbers of branches that were taken; the fields of programs that were run.
_taken: set[int] = set()
_fields = FieldCounts()
_programs: set[bytes] = set()

_plain_library = rtl.simulation_library
_plain_start = rtl.RtlDevice.start
_plain_close = rtl.RtlDevice.close


def branch_table(branches: Sequence[Branch], taken: Iterable[int]) -> list[str]:
    """Return lines with the branches taken of each module, and those that were not."""
    hit = set(taken)
    by_module: dict[str, list[int]] = defaultdict(list)
    for index, branch in enumerate(branches):
        by_module[branch.path].append(index)
    lines = [f"branches of the core, arch {ARCH.name}, that were taken in simulation"]
    wide = max(map(len, by_module))
    for path, inside in by_module.items():
        lines.append(f"  {path:{wide}} {len(hit & set(inside)):4} of {len(inside):4}")
    lines.append(f"  {len(hit)} of {len(branches)} ({len(hit) / len(branches):.1%}); not taken:")
    for index, branch in enumerate(branches):
        if index not in hit:
            source = (_ROOT / branch.path).read_text(encoding="utf-8").splitlines()
            text = source[branch.line - 1].strip().removeprefix("with ")
            lines.append(f"    {branch.path}:{branch.line} {'past ' * branch.past}{text}")
    return lines


def field_table(fields: FieldCounts) -> list[str]:
    """Return lines with the descriptors of each class, and the classes without any."""
    lines = ["descriptors, of programs run in simulation, by field and class of value"]
    rows = dict(fields.rows())
    for name, seen in rows.items():
        lines.append(f"  {name:22} " + "  ".join(f"{kind} {n}" for kind, n in seen.items()))
    missing = [f"{name} {kind}" for name, seen in rows.items() for kind, n in seen.items() if not n]
    total = sum(map(len, rows.values()))
    seen_count = total - len(missing)
    lines.append(f"  {seen_count} of {total} classes ({seen_count / total:.1%}); not seen:")
    return [*lines, *textwrap.wrap(", ".join(missing), _WIDTH - 4, **_INDENT)]


_INDENT: Any = {"initial_indent": "    ", "subsequent_indent": "    "}


def _library(arch: Arch, *, waves: bool = False, record: bool = False, **options: Any) -> Path:
    if waves or record or arch.fingerprint != ARCH.fingerprint:
        return _plain_library(arch, waves=waves, record=record, **options)
    return library(arch, top="covered")


def _start(self: rtl.RtlDevice, program: Program, buffer: Buffer) -> None:
    if program.image not in _programs:
        _programs.add(program.image)
        with contextlib.suppress(ValueError):  # a damaged descriptor: tests have such
            _fields.add(program.descriptors(), self.arch)
    _plain_start(self, program, buffer)


def _close(self: rtl.RtlDevice) -> None:
    with contextlib.suppress(ModelError):  # closed already, or another library
        _taken.update(map(int, np.flatnonzero(self.model.branches())))
    _plain_close(self)


def pytest_configure(config: pytest.Config) -> None:
    # Patched with `setattr`, as type checkers reject assignments.
    for owner, name, function in (
        (rtl, "simulation_library", _library),
        (rtl.RtlDevice, "start", _start),
        (rtl.RtlDevice, "close", _close),
    ):
        setattr(owner, name, function)
    config.pluginmanager.register(_Sum(), "measured-sum")


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["taken"], output["fields"] = sorted(_taken), dict(_fields.counts)


class _Sum:
    """Adds up the counts of the workers."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        _taken.update(output.get("taken", ()))
        _fields.counts.update(output.get("fields", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("the hardware")
    for line in [*branch_table(branches_of(ARCH), _taken), "", *field_table(_fields)]:
        terminalreporter.write_line(line)
