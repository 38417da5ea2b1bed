"""`switch_costs`: several networks on one device, and what it costs to go from one to another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from penstock.host.api.compiled import Compiled
from penstock.host.api.opened_device import Device, MismatchError
from penstock.host.apps.model_switch import Request, Switch, difference, order, requests, summary
from penstock.host.inputs.catalog import sample_input
from penstock.host.report.json_report import switch_json
from penstock.host.runtime.resident import Resident
from penstock.host.runtime.session import Result, compare_maps
from penstock.models.golden.ops import run_quantised
from penstock.models.spec.number_format import grouped, human
from penstock.models.spec.plain_table import PlainTable

__all__ = ["SWITCH_COLUMNS", "SwitchCosts", "switch_costs"]

SWITCH_COLUMNS = (
    "network",
    "memory",
    "cycles after itself",
    "cycles after another",
    "switch",
    "registers written",
    "registers changed",
    "host after itself",
    "host after another",
    "load",
)


def _quiet(text: str) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass(frozen=True, repr=False)
class SwitchCosts:
    """What a switch between networks costs on a device.

    Parameters
    ----------
    device : Device
    networks : dict of Compiled
        By name, in the order in which they were loaded.
    requests : tuple of Request
        Each run, in order, with its cycles and the registers written for it.
    switches : tuple of Switch
        Of each network: its runs after itself and after another one.
    load_seconds : dict of float
        Seconds to load each network.
    """

    device: Device
    networks: Mapping[str, Compiled]
    requests: tuple[Request, ...]
    switches: tuple[Switch, ...]
    load_seconds: Mapping[str, float]

    @property
    def counted(self) -> bool:
        """Whether the device counts cycles."""
        return self.switches[0].cycles is not None

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of `SWITCH_COLUMNS` for each network."""
        return [
            (
                each.name,
                human(self.networks[each.name].program.arena_bytes, "B"),
                grouped(each.cycles_after_itself),
                grouped(each.cycles_after_another),
                grouped(each.cycles),
                str(each.register_writes),
                str(each.register_changes),
                f"{each.host_seconds_after_itself * 1e3:.1f} ms",
                f"{each.host_seconds_after_another * 1e3:.1f} ms",
                f"{self.load_seconds[each.name] * 1e3:.1f} ms",
            )
            for each in self.switches
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the report of ``penstock switch --json``."""
        programs = {name: compiled.program for name, compiled in self.networks.items()}
        return switch_json(
            self.device.back_end, self.requests, self.switches, programs, self.load_seconds
        )

    def _table(self) -> PlainTable:
        title = f"switches on {self.device.name}, arch {self.device.arch.name}"
        return PlainTable(SWITCH_COLUMNS, self.rows(), ("network",), title=title)

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


def switch_costs(
    networks: Mapping[str, Compiled],
    device: Device,
    *,
    rounds: int = 1,
    working: Callable[[str], AbstractContextManager[object]] = _quiet,
) -> SwitchCosts:
    """Keep networks in a device's memory together, and measure what a switch between them costs.

    Each network follows itself and each other one; a photograph goes through it.  The first answer
    of each is compared with the golden model, later ones with the first.

    Parameters
    ----------
    networks : mapping of Compiled
        Two or more by name, for the device's arch.
    device : Device
    rounds : int
        Times that each network follows each, and itself.
    working : callable
        Called with what takes a while; returns a context manager that surrounds it.

    Raises
    ------
    ValueError
        If there are not two networks, or `rounds` is not positive.
    MismatchError
        If an answer is not the golden model's, or not the first one's.
    DeviceError
        If the networks do not fit together, or a run fails.
    """
    asked = order(list(networks), rounds)
    inputs = {name: sample_input(compiled.network)[1] for name, compiled in networks.items()}
    loads: dict[str, float] = {}
    made: list[Request] = []
    first: dict[str, Result] = {}
    with Resident(device.back_end) as resident:
        for name, compiled in networks.items():
            with working(f"loading {name}"):
                begin = time.perf_counter()
                resident.add(name, compiled.network, compiled.program)
                loads[name] = time.perf_counter() - begin
        stream = requests(resident, inputs, asked)
        for index, name in enumerate(asked):
            with working(f"request {index + 1} of {len(asked)}: {name} on {device.name}"):
                request = next(stream)
            made.append(request)
            if name not in first:
                first[name] = request.result
                with working(f"the golden model of {name}"):
                    golden = run_quantised(networks[name].network, inputs[name])
                    wrong = compare_maps(request.result.maps, golden)
                if wrong:
                    raise MismatchError(f"{name}: {wrong[0]}")
            other = difference(first[name], request.result)
            if other is not None:
                raise MismatchError(f"request {index + 1}, {name} after {request.after}: {other}")
    return SwitchCosts(device, networks, tuple(made), tuple(summary(made)), loads)
