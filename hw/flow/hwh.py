"""The ``.hwh`` file: what pynq knows of a bitstream, generated from the register table.

It says where the core's registers are and what they mean, which ports of the processor system are
in use, and how to set the clock.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from models.regs import CSR_BYTES, REGISTERS, VERSION, Register

__all__ = ["CORE_NAME", "CORE_VLNV", "PS_NAME", "clock_divisors", "clock_mhz", "make_hwh"]

# The core as ``Overlay.ip_dict`` lists it.
CORE_NAME = "penstock"
CORE_VLNV = f"penstock:user:penstock:{VERSION}.0"
PS_NAME = "ps7"

_PS_VLNV = "xilinx.com:ip:processing_system7:5.5"
_AXI_VLNV = "xilinx.com:interface:aximm:1.0"

# Of the PLL that FCLK0 comes from, on both boards.
_PLL_MHZ = 1000
_MAX_DIVISOR = 63

# The ports by their names in the core: descriptors, weights, activations, results.
_MASTERS = ("M_DESC", "M_WGT", "M_ACT", "M_OUT")

_DDR_BYTES = 512 << 20

_ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}


def clock_divisors(limit_mhz: float) -> tuple[int, int]:
    """The two divisors of FCLK0 that give the fastest clock of at most `limit_mhz`.

    Raises
    ------
    ValueError
        If no divisors give a clock that slow, or the limit is above what the PLL gives.
    """
    best = None
    for first in range(1, _MAX_DIVISOR + 1):
        for second in range(1, first + 1):
            clock = _PLL_MHZ / (first * second)
            if clock <= limit_mhz and (best is None or clock > best[0]):
                best = (clock, first, second)
    if best is None or limit_mhz > _PLL_MHZ:
        slowest = _PLL_MHZ / _MAX_DIVISOR**2
        raise ValueError(f"limit_mhz must be from {slowest:.3f} to {_PLL_MHZ}, not {limit_mhz!r}")
    return best[1], best[2]


def clock_mhz(divisors: tuple[int, int]) -> float:
    """FCLK0 in MHz with these divisors."""
    return _PLL_MHZ / (divisors[0] * divisors[1])


def _register(block: ET.Element, register: Register) -> None:
    element = ET.SubElement(block, "REGISTER", NAME=register.name)
    for name, value in (
        ("DESCRIPTION", register.doc),
        ("ADDRESS_OFFSET", f"0x{register.offset:X}"),
        ("ACCESS", _ACCESS[register.access]),
        ("IS_ENABLED", "true"),
        ("SIZE", "32"),
    ):
        ET.SubElement(element, "PROPERTY", NAME=name, VALUE=value)
    if not register.fields:
        return
    fields = ET.SubElement(element, "FIELDS")
    for field in register.fields:
        child = ET.SubElement(fields, "FIELD", NAME=field.name)
        for name, value in (
            ("DESCRIPTION", field.doc),
            ("BIT_OFFSET", str(field.lsb)),
            ("BIT_WIDTH", str(field.width)),
            ("ACCESS", _ACCESS[register.access]),
        ):
            ET.SubElement(child, "PROPERTY", NAME=name, VALUE=value)


def _core(modules: ET.Element, base: int) -> None:
    """The core: its registers, and its ports to memory."""
    core = ET.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{CORE_NAME}",
        INSTANCE=CORE_NAME,
        IPTYPE="PERIPHERAL",
        IS_PL="TRUE",
        MODCLASS="PERIPHERAL",
        MODTYPE="penstock",
        VLNV=CORE_VLNV,
        HWVERSION=f"{VERSION}.0",
    )
    blocks = ET.SubElement(core, "ADDRESSBLOCKS")
    block = ET.SubElement(
        blocks,
        "ADDRESSBLOCK",
        INTERFACE="S_AXI",
        NAME="Reg",
        RANGE=str(CSR_BYTES),
        USAGE="register",
        ACCESS="",
    )
    registers = ET.SubElement(block, "REGISTERS")
    for register in REGISTERS:
        _register(registers, register)
    parameters = ET.SubElement(core, "PARAMETERS")
    ET.SubElement(parameters, "PARAMETER", NAME="C_BASEADDR", VALUE=f"0x{base:08X}")
    ET.SubElement(parameters, "PARAMETER", NAME="C_HIGHADDR", VALUE=f"0x{base + CSR_BYTES - 1:08X}")
    buses = ET.SubElement(core, "BUSINTERFACES")
    ET.SubElement(buses, "BUSINTERFACE", NAME="S_AXI", TYPE="SLAVE", VLNV=_AXI_VLNV)
    for name in _MASTERS:
        ET.SubElement(buses, "BUSINTERFACE", NAME=name, TYPE="MASTER", VLNV=_AXI_VLNV)
    memory = ET.SubElement(core, "MEMORYMAP")
    for index, name in enumerate(_MASTERS):
        ET.SubElement(
            memory,
            "MEMRANGE",
            ADDRESSBLOCK=f"HP{index}_DDR_LOWOCM",
            BASEVALUE="0x00000000",
            HIGHVALUE=f"0x{_DDR_BYTES - 1:08X}",
            INSTANCE=PS_NAME,
            IS_DATA="TRUE",
            MASTERBUSINTERFACE=name,
            MEMTYPE="MEMORY",
            SLAVEBUSINTERFACE=f"S_AXI_HP{index}",
        )


def _processor(modules: ET.Element, base: int, divisors: tuple[int, int]) -> None:
    """The processor system: its clock, its ports, and what its master reaches."""
    ps = ET.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{PS_NAME}",
        INSTANCE=PS_NAME,
        IPTYPE="PERIPHERAL",
        IS_PL="FALSE",
        MODCLASS="PERIPHERAL",
        MODTYPE="processing_system7",
        VLNV=_PS_VLNV,
        HWVERSION="5.5",
    )
    parameters = ET.SubElement(ps, "PARAMETERS")
    values: dict[str, str] = {}
    for clock in range(4):
        used = clock == 0
        values[f"PCW_FPGA_FCLK{clock}_ENABLE"] = "1" if used else "0"
        for half in (0, 1):
            values[f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR{half}"] = str(divisors[half] if used else 1)
        values[f"PCW_FCLK{clock}_PERIPHERAL_CLKSRC"] = "IO PLL"
    values["PCW_FPGA0_PERIPHERAL_FREQMHZ"] = f"{clock_mhz(divisors):.6f}"
    # pynq 4.0 asks for UltraScale's name of the clock here, too.
    values["PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"] = f"{clock_mhz(divisors):.6f}"
    values["PCW_USE_M_AXI_GP0"] = "1"
    for index in range(4):
        values[f"PCW_USE_S_AXI_HP{index}"] = "1"
        values[f"PCW_S_AXI_HP{index}_DATA_WIDTH"] = "64"
    for name, value in values.items():
        ET.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
    buses = ET.SubElement(ps, "BUSINTERFACES")
    ET.SubElement(
        buses, "BUSINTERFACE", NAME="M_AXI_GP0", TYPE="MASTER", DATAWIDTH="32", VLNV=_AXI_VLNV
    )
    for index in range(4):
        ET.SubElement(
            buses,
            "BUSINTERFACE",
            NAME=f"S_AXI_HP{index}",
            TYPE="SLAVE",
            DATAWIDTH="64",
            VLNV=_AXI_VLNV,
        )
    memory = ET.SubElement(ps, "MEMORYMAP")
    ET.SubElement(
        memory,
        "MEMRANGE",
        ADDRESSBLOCK="Reg",
        BASEVALUE=f"0x{base:08X}",
        HIGHVALUE=f"0x{base + CSR_BYTES - 1:08X}",
        INSTANCE=CORE_NAME,
        IS_DATA="TRUE",
        MASTERBUSINTERFACE="M_AXI_GP0",
        MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE="S_AXI",
    )


def make_hwh(*, board: str, part: str, base: int, divisors: tuple[int, int]) -> str:
    """Return the text of the ``.hwh`` file.

    Parameters
    ----------
    board : str
    part : str
        Such as ``xc7z020clg400-1``.
    base : int
        Bus address of the registers, a multiple of their size.
    divisors : (int, int)
        Of FCLK0.
    """
    if base % CSR_BYTES or not 0 <= base < 1 << 32:
        raise ValueError(f"base must be a 32-bit multiple of {CSR_BYTES}, not {base!r}")
    if not all(1 <= divisor <= _MAX_DIVISOR for divisor in divisors):
        raise ValueError(f"divisors must be from 1 to {_MAX_DIVISOR}, not {divisors!r}")
    device, _, speed = part.partition("-")
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2")
    ET.SubElement(
        root,
        "SYSTEMINFO",
        ARCH="zynq",
        BOARD=board,
        DEVICE=device.removeprefix("xc")[:5],
        NAME="penstock",
        PACKAGE=device.removeprefix("xc")[5:],
        SPEEDGRADE=f"-{speed}",
    )
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    _core(modules, base)
    _processor(modules, base, divisors)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
