"""The files of a bitstream as pynq's own parsers see them."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from penstock.host.devices.pynq.pynq_sim import PynqSimDevice
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import CSR_BYTES, REGISTERS
from penstock.models.zynq.bitfile import write_bit
from penstock.models.zynq.hwh import CORE, CORE_VLNV, CSR_BASE, write_hwh
from tests.models.zynq.test_bitfile import BIT
from tests.models.zynq.test_hwh import HANDOFF
from tests.support.flow_pack import PAYLOAD, pack

ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}


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
    assert sorted(parser.ip_dict) == [CORE, "ps7"]
    core = parser.ip_dict[CORE]
    assert core["type"] == CORE_VLNV
    assert core["phys_addr"] == CSR_BASE
    assert core["addr_range"] == CSR_BYTES
    assert core["parameters"]["BITSTREAM_SHA256"] == HANDOFF.payload_sha256
    assert list(core["registers"]) == [register.name for register in REGISTERS]
    for register in REGISTERS:
        entry = core["registers"][register.name]
        assert entry["address_offset"] == register.offset
        assert entry["size"] == 32
        assert (entry["access"], entry["description"]) == (ACCESS[register.access], register.doc)
        names = [field.name for field in register.fields]
        # A register without fields is shown as one.
        assert list(entry["fields"]) == names or list(entry["fields"]) == ["value"]
        for field in register.fields:
            found = entry["fields"][field.name]
            assert (found["bit_offset"], found["bit_width"]) == (field.lsb, field.width)
            assert found["description"] == field.doc
    clocks = parser.clock_dict
    assert (clocks[0]["enable"], clocks[0]["divisor0"], clocks[0]["divisor1"]) == (1, 4, 3)
    assert not any(clocks[n]["enable"] for n in (1, 2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pynq's own
def test_a_pair_that_the_flow_wrote(tmp_path: Path) -> None:
    # The fabric is simulated; loading, checks and clock settings are those of the flow's files.
    arch = get_arch("tiny")
    path = pack(tmp_path, arch, clock_mhz=1000 / 11)
    with PynqSimDevice(arch, bitstream=path) as device:
        import pynq

        assert device.handoff.fclk_mhz == 1000 / 11
        assert pynq.Clocks.fclk0_mhz == pytest.approx(1000 / 11)
        core = device.overlay.ip_dict[CORE]
        assert (core["phys_addr"], core["addr_range"]) == (CSR_BASE, CSR_BYTES)
        assert device.overlay.penstock.register_map.ID.value == int.from_bytes(b"PSTK", "little")
        assert device.handoff.payload_sha256 == hashlib.sha256(PAYLOAD).hexdigest()
