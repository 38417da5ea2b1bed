"""The bus model of a Zynq's ports reports violations of AXI3's rules, and only those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.host.devices.rtl_model import Model, ModelError
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import MAGIC, offset
from penstock.models.zynq.hwh import CSR_BASE
from penstock.sim.library import build
from tests.support import axi3_breaker
from tests.support.axi3_breaker import Axi3Breaker

ARCH = get_arch("tiny")
READ, ADDRESS, DATA, HOLD = 1, 2, 4, 16


@pytest.fixture(scope="module")
def library() -> Path:
    text = build.verilog(
        lambda: Axi3Breaker(arch=ARCH),
        identity=f"Axi3Breaker {ARCH.fingerprint:016x}",
        sources=[Path(axi3_breaker.__file__)],
    )
    return build.build_library(text, top="pynq")


@pytest.fixture
def model(library: Path) -> Iterator[Model]:
    model = Model(library, memory_bytes=1 << 20)
    yield model
    model.close()


@pytest.fixture
def play(model: Model) -> Callable[..., None]:
    """A call shows a burst on hp2 or hp3 and lets it run."""

    def play(
        valid: int,
        *,
        address: int = 0x100,
        ident: int = 0,
        wid: int = 0,
        lock: int = 0,
        cache: int = 3,
    ) -> None:
        model.write(CSR_BASE + offset("BASE"), address)
        attributes = ident << 6 | wid << 12 | lock << 18 | cache << 20
        model.write(CSR_BASE + offset("DESC_ADDR"), attributes)
        model.write(CSR_BASE + offset("DESC_COUNT"), valid)
        model.write(CSR_BASE + offset("CTRL"), 1)
        model.run(200)

    return play


def test_registers_through_gp0(model: Model) -> None:
    # Every access has another id and other delays.
    for value in range(100):
        assert model.read(CSR_BASE) == MAGIC
        model.write(CSR_BASE + offset("BASE"), value * 0x01010101)
        assert model.read(CSR_BASE + offset("BASE")) == value * 0x01010101
    model.run(10)
    with pytest.raises(ModelError, match="register 0x50000000: response 3 to a read"):
        model.read(0x5000_0000)
    with pytest.raises(ModelError, match="register 0x50000000: response 3 to a write"):
        model.write(0x5000_0000, 0)


def test_good_bursts_break_no_rule(model: Model, play: Callable[..., None]) -> None:
    for ident in (0, 1, 63):
        for cache in (0, 1, 2, 3, 6, 7, 10, 11, 14, 15):
            play(READ, ident=ident, cache=cache)
            play(ADDRESS | DATA, ident=ident, wid=ident, cache=cache)
    assert bytes(model.memory[0x100:0x108]) == bytes.fromhex("efcdab8967452301")


@pytest.mark.parametrize(("valid", "port"), [(READ, "act"), (ADDRESS, "out")])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lock": 1}, "a locked or exclusive burst"),
        ({"lock": 2}, "a locked or exclusive burst"),
        ({"cache": 4}, "a cache attribute AXI3 reserves"),
        ({"cache": 13}, "a cache attribute AXI3 reserves"),
        ({"address": 0x104}, "an address that is not a multiple of 8"),
    ],
)
def test_bad_bursts(
    play: Callable[..., None], valid: int, port: str, values: dict[str, int], message: str
) -> None:
    with pytest.raises(ModelError, match=f"AXI rules broken: {port}: {message}"):
        play(valid, **values)


def test_write_data_has_the_id_of_its_burst(play: Callable[..., None]) -> None:
    with pytest.raises(ModelError, match="out: data of another id than the oldest burst's"):
        play(ADDRESS | DATA | HOLD, ident=1, wid=2)


def test_attributes_must_hold(play: Callable[..., None]) -> None:
    # Without data, the write port takes 16 addresses and no more.
    play(ADDRESS | HOLD)
    with pytest.raises(ModelError, match="out: an id or attribute changed before it was accepted"):
        play(ADDRESS | HOLD, ident=5)


def test_wid_must_hold(play: Callable[..., None]) -> None:
    # Without an address, no data is taken.
    play(DATA | HOLD)
    with pytest.raises(ModelError, match="out: wid or wstrb changed before it was accepted"):
        play(DATA | HOLD, wid=5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1, "gp0: an answer to a write with another id"),
        (2, "gp0: an answer to a read with another id"),
        (4, "gp0: no rlast at the last beat"),
        (8, "gp0: an answer to a write that was not made"),
        (16, "gp0: an answer to a read that was not made"),
        (32, "gp0: the answer to a read changed before it was taken"),
    ],
)
def test_bad_answers(model: Model, wrong: int, message: str) -> None:
    model.write(CSR_BASE + offset("DESC_COUNT"), wrong << 8)
    for _ in range(8):
        model.write(CSR_BASE + offset("BASE"), 1)
        model.read(CSR_BASE)
    with pytest.raises(ModelError, match=message):
        model.run(10)


def test_unknown_top() -> None:
    with pytest.raises(ValueError, match="top must be one of accel, covered, pynq, not 'board'"):
        build.build_library("", top="board")
    with pytest.raises(ValueError, match="top must be one of accel, covered, pynq, not 'board'"):
        build.library(ARCH, top="board")
