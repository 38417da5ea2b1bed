"""FPGAs and their resources, from the data sheets, in the units that open place and route counts.

Resources by family; a LUT has six inputs on xc7, four on the others:

======  ================================  ==============================
family  ``DSP``                           block RAM
======  ================================  ==============================
xc7     DSP48E1                           ``RAMB36`` of 36 kbit, halves
ecp5    MULT18X18D                        ``DP16KD`` of 18 kbit
gowin   MULT18X18; a MULT9X9 is half one  ``BSRAM`` of 18 kbit
======  ================================  ==============================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BLOCK_RAM", "DEVICES", "Device", "get_device"]

# Name of a block RAM, by family.
BLOCK_RAM = {"xc7": "RAMB36", "ecp5": "DP16KD", "gowin": "BSRAM"}


@dataclass(frozen=True, kw_only=True)
class Device:
    """One FPGA.

    Parameters
    ----------
    name : str
    family : str
        Key of `BLOCK_RAM`.
    part : str
        Prefix of its part numbers.
    resources : mapping of str to int
        Number of each resource: ``LUT``, ``FF``, ``DSP`` and the family's block RAM.
    """

    name: str
    family: str
    part: str
    resources: Mapping[str, int]


def _device(name: str, family: str, part: str, *, lut: int, ff: int, dsp: int, ram: int) -> Device:
    resources = {"LUT": lut, "FF": ff, "DSP": dsp, BLOCK_RAM[family]: ram}
    return Device(name=name, family=family, part=part, resources=resources)


DEVICES: tuple[Device, ...] = (
    _device("XC7Z010", "xc7", "xc7z010", lut=17600, ff=35200, dsp=80, ram=60),
    _device("XC7Z020", "xc7", "xc7z020", lut=53200, ff=106400, dsp=220, ram=140),
    _device("XC7A35T", "xc7", "xc7a35t", lut=20800, ff=41600, dsp=90, ram=50),
    _device("XC7A100T", "xc7", "xc7a100t", lut=63400, ff=126800, dsp=240, ram=135),
    # The 12F is a 25F by another name.
    _device("LFE5U-25F", "ecp5", "LFE5U-25F", lut=24288, ff=24288, dsp=28, ram=56),
    _device("LFE5U-45F", "ecp5", "LFE5U-45F", lut=43848, ff=43848, dsp=72, ram=108),
    _device("LFE5U-85F", "ecp5", "LFE5U-85F", lut=83640, ff=83640, dsp=156, ram=208),
    _device("GW2AR-18", "gowin", "GW2AR-LV18", lut=20736, ff=15552, dsp=48, ram=46),
)


def get_device(part: str) -> Device:
    """Return the FPGA with a part number, such as ``xc7z020clg400-1``.

    Raises
    ------
    ValueError
        If it is none of `DEVICES`.
    """
    for device in DEVICES:
        if part.lower().startswith(device.part.lower()):
            return device
    known = ", ".join(device.name for device in DEVICES)
    raise ValueError(f"part {part!r} is of no FPGA known here, which are {known}")
