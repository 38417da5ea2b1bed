"""Fit check: whether an arch fits a device, without synthesis.

DSPs and block RAMs follow from the arch and are certain; look-up tables and flip-flops are
estimates, and an arch is refused for them only if it is too large by more than the estimate's
error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.host.explore.area import estimate_area, family_error
from penstock.models.spec.arch import Arch
from penstock.models.spec.devices import BLOCK_RAM, Device

__all__ = ["Target", "doubts", "misfits"]


@dataclass(frozen=True)
class Target:
    """Target of a fit check.

    Parameters
    ----------
    family : str
        Key of `models.spec.devices.BLOCK_RAM`.
    resources : mapping of str to int
        Available resources; empty: no limit.
    shell : str or None
        Board whose design around the core is added; None: the core alone.
    name : str
    """

    family: str
    resources: Mapping[str, int] = field(default_factory=dict)
    shell: str | None = None
    name: str = ""

    @classmethod
    def of(cls, device: Device, board: str) -> Target:
        """Return the target for a board and its device."""
        return cls(device.family, device.resources, board, device.name)


def misfits(arch: Arch, target: Target) -> list[str]:
    """Return why an arch does not fit: a sentence for each exceeded resource."""
    if not target.resources:
        return []
    area = estimate_area(arch, target.family, target.shell)
    ram = BLOCK_RAM[target.family]
    found = [
        f"it takes {used:g} {name} of {target.resources[name]}"
        for name, used in (("DSP", area.dsp), (ram, area.ram))
        if used > target.resources[name]
    ]
    error = family_error(target.family)
    found += [
        f"it takes about {used} {name} of {target.resources[name]} (an estimate)"
        for name, used in (("LUT", area.lut), ("FF", area.ff))
        if used > target.resources[name] * (1 + error[name])
    ]
    return found


def doubts(arch: Arch, target: Target) -> list[str]:
    """Return the resources exceeded by the estimates, but only within their error."""
    if not target.resources:
        return []
    area = estimate_area(arch, target.family, target.shell)
    return [
        f"about {used} {name} of {target.resources[name]} (an estimate)"
        for name, used in (("LUT", area.lut), ("FF", area.ff))
        if used > target.resources[name]
    ]
