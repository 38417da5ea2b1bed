"""The ``.hwh`` file: pynq's own parser finds every register and field, and the clock."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from hw.flow.hwh import CORE_NAME, CORE_VLNV, clock_divisors, clock_mhz, make_hwh
from models.regs import CSR_BYTES, REGISTERS

ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}
BASE = 0x4000_0000


def made(divisors: tuple[int, int] = (5, 2)) -> str:
    return make_hwh(board="pynq-z2", part="xc7z020clg400-1", base=BASE, divisors=divisors)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pynq, on a machine that is no board
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
        from pynqmetadata.frontends import Metadata

        path: Path = tmp_path_factory.mktemp("hwh") / "penstock.hwh"
        path.write_text(made())
        return RuntimeMetadataParser(Metadata(input=str(path)))


def test_the_core_is_at_its_address(parsed: Any) -> None:
    assert sorted(parsed.ip_dict) == [CORE_NAME, "ps7"]
    core = parsed.ip_dict[CORE_NAME]
    assert (core["phys_addr"], core["addr_range"]) == (BASE, CSR_BYTES)
    assert core["type"] == CORE_VLNV


def test_every_register_and_field(parsed: Any) -> None:
    registers = parsed.ip_dict[CORE_NAME]["registers"]
    assert list(registers) == [register.name for register in REGISTERS]
    for register in REGISTERS:
        found = registers[register.name]
        assert (found["address_offset"], found["size"]) == (register.offset, 32)
        assert (found["access"], found["description"]) == (ACCESS[register.access], register.doc)
        assert list(found["fields"]) == [field.name for field in register.fields]
        for field in register.fields:
            entry = found["fields"][field.name]
            assert (entry["bit_offset"], entry["bit_width"]) == (field.lsb, field.width)
            assert entry["description"] == field.doc


def test_the_clock(parsed: Any) -> None:
    clocks = parsed.clock_dict
    assert (clocks[0]["enable"], clocks[0]["divisor0"], clocks[0]["divisor1"]) == (1, 5, 2)
    assert [clocks[n]["enable"] for n in (1, 2, 3)] == [0, 0, 0]


def test_pynq_4_finds_the_frequency_of_every_enabled_clock() -> None:
    assert 'NAME="PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ" VALUE="100.000000"' in made()


def test_divisors_give_the_fastest_clock_below_the_limit() -> None:
    for limit in (1, 33.4, 87.3, 100, 142.857, 250, 999, 1000):
        divisors = clock_divisors(limit)
        best = max(
            1000 / (a * b) for a in range(1, 64) for b in range(1, 64) if 1000 / (a * b) <= limit
        )
        assert clock_mhz(divisors) == pytest.approx(best)
        assert all(1 <= divisor <= 63 for divisor in divisors)


@pytest.mark.parametrize("limit", [0, -1, 0.1, 1000.1])
def test_limits_out_of_reach(limit: float) -> None:
    with pytest.raises(ValueError, match="limit_mhz must be from"):
        clock_divisors(limit)


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="base must be a 32-bit multiple of 16384, not 4096"):
        make_hwh(board="b", part="xc7z020clg400-1", base=4096, divisors=(5, 2))
    with pytest.raises(ValueError, match=r"divisors must be from 1 to 63, not \(64, 1\)"):
        made((64, 1))
