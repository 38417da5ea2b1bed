"""Result of one image: classes, every layer's map, counters, cycle breakdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from numpy.typing import NDArray

from penstock.host.api.compiled import Compiled
from penstock.host.devices.device import RunLog
from penstock.host.report.layer_profile import LayerProfile, measured_profile
from penstock.host.report.plot import Plot
from penstock.host.runtime.session import Answer, Mismatch
from penstock.host.runtime.session import Result as SessionResult
from penstock.models.spec.number_format import grouped, percent
from penstock.models.spec.plain_table import PlainTable

__all__ = ["Result", "profile"]


@dataclass(frozen=True, repr=False)
class Result:
    """Result of one image on a device.

    Parameters
    ----------
    image : str
        Its path, or its number.
    compiled : Compiled
        The network and its program.
    device : str
        The device's name.
    outcome : host.runtime.session.Result
    """

    image: str
    compiled: Compiled
    device: str
    outcome: SessionResult

    @property
    def top(self) -> tuple[Answer, ...]:
        """The most likely classes, best first, each with `index`, `label` and `score` (0 to 1).

        Empty if the network is no classifier.
        """
        return self.outcome.top

    @property
    def maps(self) -> dict[str, NDArray[Any]]:
        """Feature maps that were kept, by layer name, uint8 (height, width, channels)."""
        return self.outcome.maps

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """Maps that are not the golden model's; empty without a check."""
        return self.outcome.mismatches

    @property
    def compared(self) -> int:
        """Feature maps compared with the golden model; 0 without a check."""
        return self.outcome.compared

    @property
    def log(self) -> RunLog:
        """The device's raw counters."""
        return self.outcome.log

    @cached_property
    def layers(self) -> LayerProfile:
        """Profile of the hardware layers: ``result.layers["conv2"].cycles``; prints as a table."""
        return profile([self])

    def plot(self) -> Plot:
        """Draw a roofline, and the cycle breakdown of each layer.

        Raises
        ------
        ValueError
            If the device counts no cycles.
        MissingPackage
            If matplotlib is not installed.
        """
        return self.layers.plot()

    def _head(self) -> str:
        best = f": {percent(self.top[0].score)} {self.top[0].label}" if self.top else ""
        cycles = self.layers.total.cycles
        counted = f", {grouped(cycles)} cycles an image" if cycles else ""
        checked = ""
        if self.compared:
            same = "not " if self.mismatches else ""
            checked = f", {same}bit-exact with the golden model in {self.compared} maps"
        return f"Result of {self.image}{best}{counted}{checked}"

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _repr_html_(self) -> str:
        rows = [(each.label, percent(each.score), str(each.index)) for each in self.top]
        answers = PlainTable(("class", "probability", "index"), rows)._repr_html_() if rows else ""
        return f"<p>{escape(self._head())}</p>{answers}{self.layers._repr_html_()}"


def profile(results: Iterable[Result]) -> LayerProfile:
    """Return the profile for one image, the mean of several results.

    Raises
    ------
    ValueError
        If there are none, or they are from different programs.
    """
    found = list(results)
    if not found:
        raise ValueError("a profile needs one result or more")
    first = found[0]
    if any(result.compiled.program is not first.compiled.program for result in found):
        raise ValueError("a profile is of results of one program")
    return measured_profile(
        first.compiled.program,
        [result.log for result in found],
        first.compiled.arch,
        device=first.device,
    )
