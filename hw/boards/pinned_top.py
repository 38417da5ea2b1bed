"""The top level of a board whose pins are the design's: what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import Elaboratable, Module, Signal
from amaranth.hdl import IOBufferInstance, IOPort

from penstock.models.spec.arch import Arch

__all__ = ["PinnedTop"]


class PinnedTop(Elaboratable):
    """The design with its pins.  Subclasses have the parameter `arch` alone.

    Parameters
    ----------
    arch : Arch
    sites : mapping of str to str
        Of each port, the sites of its pins on the package, lowest bit first, with spaces between.
    constraints : str
        Text of the constraint file, in the tool chain's language.

    Attributes
    ----------
    pins : dict of str to IOPort
        The pins by name.
    ports : list of IOPort
    """

    def __init__(self, *, arch: Arch, sites: Mapping[str, str], constraints: str) -> None:
        self.arch = arch
        self.pins = {name: IOPort(len(text.split()), name=name) for name, text in sites.items()}
        self.ports = list(self.pins.values())
        self.constraints = constraints

    def _add_pads(
        self, m: Module, *, inputs: Mapping[str, Signal], outputs: Mapping[str, Signal]
    ) -> None:
        """Put plain pads between pins and signals."""
        for name, value in inputs.items():
            m.submodules[f"{name}_pad"] = IOBufferInstance(self.pins[name], i=value)
        for name, value in outputs.items():
            m.submodules[f"{name}_pad"] = IOBufferInstance(self.pins[name], o=value)
