"""The register map: every register in its own place, every field in its register."""

from __future__ import annotations

import itertools

import pytest

from penstock.models.spec.arch import ARCHES
from penstock.models.spec.regs import (
    CSR_BYTES,
    ERROR_SOURCES,
    LOG_BASE,
    LOG_FIELDS,
    MAGIC,
    REGISTERS,
    ErrorCause,
    Register,
    field,
    offset,
)


def test_names_and_offsets_are_unique() -> None:
    assert len({register.name for register in REGISTERS}) == len(REGISTERS)
    assert len({register.offset for register in REGISTERS}) == len(REGISTERS)


@pytest.mark.parametrize("register", REGISTERS, ids=lambda register: register.name)
def test_register(register: Register) -> None:
    assert register.offset % 4 == 0
    assert 0 <= register.offset < LOG_BASE
    assert register.access in ("ro", "rw", "wo")
    assert register.doc
    assert offset(register.name) == register.offset
    assert len({part.name for part in register.fields}) == len(register.fields)
    end = 0
    for part in register.fields:
        assert part.lsb >= end, f"{part.name} overlaps the field before it"
        end = part.lsb + part.width
        assert part.width > 0
        assert part.doc
    assert end <= 32


def test_counters_are_in_the_order_of_the_log() -> None:
    offsets = [offset(name.upper()) for name, _ in LOG_FIELDS]
    assert all(b - a == 4 for a, b in itertools.pairwise(offsets))


@pytest.mark.parametrize("name", ARCHES)
def test_the_layer_log_is_inside(name: str) -> None:
    assert LOG_BASE + ARCHES[name].log_entries * len(LOG_FIELDS) * 4 <= CSR_BYTES


def test_every_port_has_its_counts() -> None:
    for port in ERROR_SOURCES:
        assert offset(f"{port.upper()}_RECEIVED") == offset(f"{port.upper()}_EXPECTED") + 4


def test_error_fits_its_fields() -> None:
    fields = {field.name: field for field in next(r for r in REGISTERS if r.name == "ERROR").fields}
    assert max(ErrorCause) < 1 << fields["cause"].width
    assert len(ERROR_SOURCES) <= 1 << fields["source"].width
    # Cleared hardware shows no error.
    assert ErrorCause.NONE == 0


def test_a_field_and_its_register() -> None:
    source = field("ERROR", "source")
    assert source.mask == 0xFF00
    assert source.of(0xAB_CD_EF) == 0xCD
    assert [field("STATUS", name).mask for name in ("busy", "done", "error")] == [1, 2, 4]
    with pytest.raises(KeyError, match="colour"):
        field("STATUS", "colour")


def test_magic_reads_as_text() -> None:
    assert MAGIC.to_bytes(4, "little") == b"PSTK"


def test_no_such_register() -> None:
    with pytest.raises(KeyError, match="COLOUR"):
        offset("COLOUR")
