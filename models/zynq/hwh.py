"""The hardware handoff beside a Zynq bitstream: what pynq reads to find the core and its registers.

``write_hwh`` writes only what pynq's parsers need, from `models.spec.regs`, and parameters of our
own that ``read_hwh`` returns: the arch of the bitstream, and the bitstream that the description
belongs to.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.models.spec.regs import CSR_BYTES, REGISTERS, VERSION, BitField, Register

__all__ = [
    "CORE",
    "CORE_VLNV",
    "CSR_BASE",
    "IO_PLL_MHZ",
    "PART",
    "Handoff",
    "clock_mhz",
    "divisors",
    "read_hwh",
    "write_hwh",
]

# Name of the core in the design, as in pynq's ip_dict.
CORE = "penstock"
CORE_VLNV = f"penstock:user:penstock:{VERSION}.0"

# Address of the registers on the processor's bus: the start of GP0's window.
CSR_BASE = 0x4000_0000

# Frequency of the I/O PLL after boot of a PYNQ-Z1 or Z2; two dividers make the fabric's clocks.
IO_PLL_MHZ = 1000
_LARGEST_DIVISOR = 63

# The part on both boards.
PART = "xc7z020clg400-1"
_PART_WORDS = re.compile(r"xc(7z\d+)([a-z]+\d+)(-\w+)")

_AXI = "xilinx.com:interface:aximm:1.0"
_PS = "ps7"
# The core's memory ports in the order of the processor system's ports, HP0 first.
_MASTERS = ("M_DESC", "M_WGT", "M_ACT", "M_OUT")
_DDR_BYTES = 512 << 20
_ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}
# Name of a parameter in the file for each field of `Handoff` that is one.
_PARAMETERS = {
    "arch": "ARCH",
    "fingerprint": "FINGERPRINT",
    "payload_sha256": "BITSTREAM_SHA256",
}


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """Description of a bitstream.

    Parameters
    ----------
    arch : str
        Name of the arch.
    fingerprint : int
        Of the arch.
    divisors : (int, int)
        Of FCLK0, from `IO_PLL_MHZ`; 1 to 63.
    payload_sha256 : str
        `models.zynq.bitfile.BitFile.sha256` of the bitstream.
    base : int
        Bus address of the registers, a multiple of `CSR_BYTES`.
    part : str
        Device, package, a dash, speed grade.
    """

    arch: str
    fingerprint: int
    divisors: tuple[int, int]
    payload_sha256: str
    base: int = CSR_BASE
    part: str = PART

    @property
    def fclk_mhz(self) -> float:
        """Frequency of the core's clock."""
        return clock_mhz(self.divisors)


def clock_mhz(divisors: tuple[int, int]) -> float:
    """Return FCLK0's frequency in MHz with these divisors."""
    return IO_PLL_MHZ / (divisors[0] * divisors[1])


def divisors(mhz: float) -> tuple[int, int]:
    """Return the two divisors that give the fastest clock of at most `mhz` MHz.

    Raises
    ------
    ValueError
        If there is no such clock.
    """
    usable = range(1, _LARGEST_DIVISOR + 1)
    # Compare by `clock_mhz`: the divisors of a clock that it returned are found again.
    slow_enough = (
        (first * second, first, second)
        for first in usable
        for second in range(1, first + 1)
        if clock_mhz((first, second)) <= mhz
    )
    found = min(slow_enough, default=None)
    if found is None:
        lowest = IO_PLL_MHZ / _LARGEST_DIVISOR**2
        raise ValueError(f"mhz must be at least {lowest:.2f}, not {mhz!r}")
    return found[1], found[2]


def _parameters(parent: ET.Element, values: Iterable[tuple[str, object]]) -> None:
    block = ET.SubElement(parent, "PARAMETERS")
    for name, value in values:
        ET.SubElement(block, "PARAMETER", NAME=name, VALUE=str(value))


def _properties(parent: ET.Element, **values: object) -> None:
    for name, value in values.items():
        ET.SubElement(parent, "PROPERTY", NAME=name, VALUE=str(value))


def _bus(parent: ET.Element, name: str, kind: str, bus: str) -> None:
    ET.SubElement(parent, "BUSINTERFACE", NAME=name, TYPE=kind, VLNV=_AXI, BUSNAME=bus)


def _memory_range(parent: ET.Element, base: int, size: int, **values: str) -> None:
    element = ET.SubElement(parent, "MEMRANGE", values)
    element.set("BASEVALUE", f"0x{base:08X}")
    element.set("HIGHVALUE", f"0x{base + size - 1:08X}")


def _register(parent: ET.Element, register: Register) -> None:
    entry = ET.SubElement(parent, "REGISTER", NAME=register.name)
    access = _ACCESS[register.access]
    _properties(
        entry,
        DESCRIPTION=register.doc,
        ADDRESS_OFFSET=f"0x{register.offset:X}",
        SIZE=32,
        ACCESS=access,
        IS_ENABLED="true",
        RESET_VALUE="0",
    )
    fields = ET.SubElement(entry, "FIELDS")
    # pynq shows registers by their fields; one without is one field.
    for part in register.fields or (BitField("value", 0, 32, register.doc),):
        field = ET.SubElement(fields, "FIELD", NAME=part.name)
        _properties(
            field,
            DESCRIPTION=part.doc,
            ADDRESS_OFFSET="0x0",
            ACCESS=access,
            BIT_OFFSET=part.lsb,
            BIT_WIDTH=part.width,
        )


def _processor(modules: ET.Element, handoff: Handoff) -> None:
    module = ET.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{_PS}",
        HWVERSION="5.5",
        INSTANCE=_PS,
        IPTYPE="PERIPHERAL",
        IS_PL="FALSE",
        MODCLASS="PERIPHERAL",
        MODTYPE="processing_system7",
        VLNV="xilinx.com:ip:processing_system7:5.5",
    )
    values: list[tuple[str, object]] = []
    for n in range(4):
        first, second = handoff.divisors if n == 0 else (_LARGEST_DIVISOR, _LARGEST_DIVISOR)
        mhz = clock_mhz((first, second))
        values += [
            (f"PCW_FPGA_FCLK{n}_ENABLE", int(n == 0)),
            (f"PCW_FCLK{n}_PERIPHERAL_DIVISOR0", first),
            (f"PCW_FCLK{n}_PERIPHERAL_DIVISOR1", second),
            (f"PCW_FCLK_CLK{n}_BUF", "TRUE" if n == 0 else "FALSE"),
            (f"PCW_FCLK{n}_PERIPHERAL_CLKSRC", "IO PLL"),
            (f"PCW_FPGA{n}_PERIPHERAL_FREQMHZ", f"{mhz:.6f}"),
            # pynq 4.0 looks for the larger family's clocks on every device.
            (f"PSU__CRL_APB__PL{n}_REF_CTRL__ACT_FREQMHZ", f"{mhz:.6f}"),
        ]
    values.append(("PCW_USE_M_AXI_GP0", 1))
    for n in range(len(_MASTERS)):
        values += [(f"PCW_USE_S_AXI_HP{n}", 1), (f"PCW_S_AXI_HP{n}_DATA_WIDTH", 64)]
    _parameters(module, values)
    buses = ET.SubElement(module, "BUSINTERFACES")
    _bus(buses, "M_AXI_GP0", "MASTER", "gp0")
    for n in range(len(_MASTERS)):
        _bus(buses, f"S_AXI_HP{n}", "SLAVE", f"hp{n}")
    ranges = ET.SubElement(module, "MEMORYMAP")
    _memory_range(
        ranges,
        handoff.base,
        CSR_BYTES,
        ADDRESSBLOCK="reg0",
        INSTANCE=CORE,
        MASTERBUSINTERFACE="M_AXI_GP0",
        MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE="S_AXI",
    )


def _core(modules: ET.Element, handoff: Handoff) -> None:
    module = ET.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{CORE}",
        HWVERSION=f"{VERSION}.0",
        INSTANCE=CORE,
        IPTYPE="PERIPHERAL",
        IS_PL="TRUE",
        MODCLASS="PERIPHERAL",
        MODTYPE=CORE,
        VLNV=CORE_VLNV,
    )
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    block = ET.SubElement(
        blocks,
        "ADDRESSBLOCK",
        ACCESS="read-write",
        INTERFACE="S_AXI",
        NAME="reg0",
        RANGE=str(CSR_BYTES),
        USAGE="register",
    )
    registers = ET.SubElement(block, "REGISTERS")
    for register in REGISTERS:
        _register(registers, register)
    texts: dict[str, object] = {"fingerprint": f"0x{handoff.fingerprint:016X}"}
    window = (
        ("C_BASEADDR", f"0x{handoff.base:08X}"),
        ("C_HIGHADDR", f"0x{handoff.base + CSR_BYTES - 1:08X}"),
    )
    own = ((name, texts.get(field, getattr(handoff, field))) for field, name in _PARAMETERS.items())
    _parameters(module, (*window, *own))
    buses = ET.SubElement(module, "BUSINTERFACES")
    _bus(buses, "S_AXI", "SLAVE", "gp0")
    for n, name in enumerate(_MASTERS):
        _bus(buses, name, "MASTER", f"hp{n}")
    ranges = ET.SubElement(module, "MEMORYMAP")
    for n, name in enumerate(_MASTERS):
        _memory_range(
            ranges,
            0,
            _DDR_BYTES,
            ADDRESSBLOCK=f"HP{n}_DDR_LOWOCM",
            INSTANCE=_PS,
            MASTERBUSINTERFACE=name,
            MEMTYPE="MEMORY",
            SLAVEBUSINTERFACE=f"S_AXI_HP{n}",
        )


def write_hwh(handoff: Handoff) -> str:
    """Return the file's text.

    Raises
    ------
    ValueError
        If the address, a divisor or the part cannot be.
    """
    if handoff.base % CSR_BYTES or not 0 <= handoff.base < 1 << 32:
        raise ValueError(f"base must be a 32-bit multiple of {CSR_BYTES}, not {handoff.base!r}")
    if not all(1 <= divisor <= _LARGEST_DIVISOR for divisor in handoff.divisors):
        raise ValueError(f"divisors must be from 1 to {_LARGEST_DIVISOR}, not {handoff.divisors!r}")
    match = _PART_WORDS.fullmatch(handoff.part)
    if match is None:
        raise ValueError(f"part must be such as {PART}, not {handoff.part!r}")
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="none")
    ET.SubElement(
        root,
        "SYSTEMINFO",
        ARCH="zynq",
        DEVICE=match[1],
        NAME=CORE,
        PACKAGE=match[2],
        SPEEDGRADE=match[3],
    )
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    _processor(modules, handoff)
    _core(modules, handoff)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n' + ET.tostring(
        root, encoding="unicode"
    )


def read_hwh(text: str) -> Handoff:
    """Return what a file that ``write_hwh`` made says.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise ValueError(f"not a hardware handoff: {error}") from None
    system = root.find("SYSTEMINFO")
    words = {} if system is None else system.attrib
    modules = {module.get("FULLNAME", ""): module for module in root.iter("MODULE")}
    core, processor = modules.get(f"/{CORE}"), modules.get(f"/{_PS}")
    if core is None or processor is None:
        raise ValueError(f"the design has no {CORE if core is None else _PS}")
    values = {
        entry.get("NAME", ""): entry.get("VALUE", "")
        for module in (processor, core)
        for entry in module.iter("PARAMETER")
    }
    ranges = [r for r in processor.iter("MEMRANGE") if r.get("INSTANCE") == CORE]
    try:
        first, second = (int(values[f"PCW_FCLK0_PERIPHERAL_DIVISOR{n}"]) for n in range(2))
        return Handoff(
            arch=values[_PARAMETERS["arch"]],
            fingerprint=int(values[_PARAMETERS["fingerprint"]], 0),
            base=int(ranges[0].get("BASEVALUE", ""), 0),
            divisors=(first, second),
            payload_sha256=values[_PARAMETERS["payload_sha256"]],
            part="xc" + "".join(words.get(key, "") for key in ("DEVICE", "PACKAGE", "SPEEDGRADE")),
        )
    except KeyError as error:
        raise ValueError(f"the parameter {error} is missing") from None
    except (IndexError, ValueError):
        raise ValueError(f"the address of {CORE} or a parameter is damaged") from None
