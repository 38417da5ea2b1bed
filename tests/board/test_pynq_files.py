"""The files of a bitstream as pynq's own parsers see them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from models.bitfile import write_bit
from models.hwh import CORE, CSR_BASE, write_hwh
from models.regs import CSR_BYTES, REGISTERS
from tests.test_bitfile import BIT
from tests.test_hwh import HANDOFF


@pytest.mark.filterwarnings("ignore")  # pynq uses what its dependencies warn of
def test_bitstream() -> None:
    from pynq.pl_server import embedded_device as embedded

    found = embedded.parse_bit_header(write_bit(BIT))
    assert found["design"] == "penstock"
    assert found["part"] == BIT.part
    assert (found["date"], found["time"]) == (BIT.date, BIT.time)
    assert found["data"] == BIT.payload
    words = struct.unpack("<16I", embedded.bit2bin(write_bit(BIT)))
    assert words == struct.unpack(">16I", BIT.payload)


@pytest.mark.filterwarnings("ignore")  # pynq uses what its dependencies warn of
def test_every_register_and_field(tmp_path: Path) -> None:
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    path = tmp_path / "penstock.hwh"
    path.write_text(write_hwh(HANDOFF))
    parser = RuntimeMetadataParser(Metadata(input=path))
    core = parser.ip_dict[CORE]
    assert core["phys_addr"] == CSR_BASE
    assert core["addr_range"] == CSR_BYTES
    assert core["parameters"]["BITSTREAM_SHA256"] == HANDOFF.payload_sha256
    assert list(core["registers"]) == [register.name for register in REGISTERS]
    for register in REGISTERS:
        entry = core["registers"][register.name]
        assert entry["address_offset"] == register.offset
        assert entry["size"] == 32
        for field in register.fields:
            assert entry["fields"][field.name]["bit_offset"] == field.lsb
            assert entry["fields"][field.name]["bit_width"] == field.width
    clocks = parser.clock_dict
    assert (clocks[0]["enable"], clocks[0]["divisor0"], clocks[0]["divisor1"]) == (1, 4, 3)
    assert not any(clocks[n]["enable"] for n in (1, 2, 3))
