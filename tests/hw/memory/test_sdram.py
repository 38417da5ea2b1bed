# amaranth: UnusedElaboratable=no
"""The SDRAM controller on a chip that checks its rules: data, bandwidth, every rule of the chip."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.hw.boards.ulx3s import CLOCK_HZ
from penstock.hw.memory.memory_port import MemoryPort
from penstock.hw.memory.sdram import SdramController
from penstock.hw.memory.sdram_chip import ULX3S_SDRAM, SdramChip
from penstock.sim.library.simulated_board import BoardModel, Timing, board_library
from tests.support import sdram_traffic
from tests.support.sdram_traffic import MIXED, READ, REGION_BEATS, WRITE, Traffic

WRONG, ERROR = 4, 8

# Words that the pins move at most in a command.
WORDS = 4


@functools.cache
def library(clock_hz: int = CLOCK_HZ) -> Path:
    return board_library(
        lambda: Traffic(chip=ULX3S_SDRAM, clock_hz=clock_hz),
        identity=f"Traffic {clock_hz} {ULX3S_SDRAM}",
        sources=[Path(sdram_traffic.__file__)],
    )


def model(
    chip: SdramChip = ULX3S_SDRAM, *, clock_hz: int = CLOCK_HZ, **timing: float
) -> BoardModel:
    return BoardModel(
        library(clock_hz), chip=chip, timing=Timing(clock_hz=clock_hz, baud=1e6, **timing)
    )


@pytest.fixture
def board() -> Iterator[BoardModel]:
    board = model()
    yield board
    board.close()


def phase(board: BoardModel) -> int:
    return board.led & 3


def run_to(board: BoardModel, target: int, *, limit: int = 400_000) -> None:
    """Simulate until a phase begins."""
    end = board.cycles + limit
    while phase(board) != target:
        assert board.cycles < end, f"phase {phase(board)} does not end"
        board.run(100)


def measure(board: BoardModel, cycles: int) -> float:
    """Share of the cycles in which the data pins move a word."""
    before = board.statistics()
    board.run(cycles)
    after = board.statistics()
    moved = sum(after[name] - before[name] for name in ("reads", "writes")) * WORDS
    return moved / cycles


def test_bandwidth_and_data(board: BoardModel) -> None:
    board.run(20_000)
    assert phase(board) == WRITE
    written = measure(board, 100_000)
    run_to(board, READ)
    begin = board.cycles
    run_to(board, MIXED)
    read = REGION_BEATS * WORDS / (board.cycles - begin)
    # Short pieces anywhere, in both directions, for three readers and two writers.
    mixed = measure(board, 300_000)
    print(f"of the pins' bandwidth: writes {written:.1%}, reads {read:.1%}, mixed {mixed:.1%}")
    assert written > 0.9
    assert read > 0.9
    assert mixed > 0.5
    assert not board.led & (WRONG | ERROR)


@pytest.mark.parametrize("delay", [1.0, 3.0, 8.5])
def test_ways_of_any_length(delay: float) -> None:
    board = model(delay=delay)
    run_to(board, READ)
    board.run(50_000)
    assert not board.led & (WRONG | ERROR)
    board.close()


@pytest.mark.parametrize("delay", [0.3, 9.5])
def test_ways_too_short_or_long_bring_noise(delay: float) -> None:
    board = model(delay=delay)
    run_to(board, READ)
    board.run(5_000)
    assert board.led & WRONG
    board.close()


# A chip with stricter timing than the controller's, and the rule that must be reported.
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t_rcd": 23.0}, "tRCD: READ or WRITE too early"),
        ({"t_rp": 23.0}, "tRP: "),
        ({"t_rfc": 78.0}, "tRFC: a command too early after REFRESH"),
        ({"c_mrd": 30}, "tMRD: a command too early after MODE"),
        ({"t_wr": 23.0}, "tWR: PRECHARGE too early"),
        ({"t_ras": 90.0}, "tRAS: PRECHARGE too early"),
        ({"t_rc": 120.0}, "tRC: ACTIVATE too early"),
        ({"t_rrd": 200.0}, "tRRD: ACTIVATE too early"),
        ({"t_power": 220e3}, "a command before power is stable"),
        ({"cas_latency": 2}, "a wrong mode"),
        ({"refreshes": 9000}, "refreshes are overdue"),
    ],
)
def test_the_chip_finds_broken_rules(change: dict[str, float], message: str) -> None:
    board = model(replace(ULX3S_SDRAM, **change))
    with pytest.raises(AssertionError, match=f"SDRAM rules broken: {message}"):
        run_to(board, 3, limit=500_000)
    board.close()


def test_a_faster_clock() -> None:
    # With waits of more cycles; the phase differs because the board delays stay the same.
    board = model(clock_hz=133_000_000, phase=0.4)
    run_to(board, MIXED)
    board.run(100_000)
    assert not board.led & (WRONG | ERROR)
    board.close()


def test_waits_at_90_mhz() -> None:
    controller = SdramController(chip=ULX3S_SDRAM, clock_hz=90_000_000)
    assert (controller.t_rcd, controller.t_rp, controller.t_rfc) == (2, 2, 7)
    assert (controller.after_activate, controller.after_write) == (5, 5)
    assert controller.interval == 703
    assert ULX3S_SDRAM.size == 32 << 20


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SdramController(chip=ULX3S_SDRAM, clock_hz=0),
            "clock_hz must be at least 1000000, not 0",
        ),
        (
            lambda: SdramController(chip=ULX3S_SDRAM, clock_hz=90_000_000, tag_bits=0),
            "tag_bits must be a positive integer, not 0",
        ),
        (
            lambda: MemoryPort(
                controller=SdramController(chip=ULX3S_SDRAM, clock_hz=90_000_000),
                readers=9,
                writers=1,
            ),
            "readers must be from 1 to 8, not 9",
        ),
        (lambda: replace(ULX3S_SDRAM, cas_latency=4), "cas_latency must be 2 or 3, not 4"),
    ],
)
def test_wrong_parameters(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
