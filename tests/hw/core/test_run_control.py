# amaranth: UnusedElaboratable=no
"""Run control, cycle by cycle."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.core.run_control import Control
from penstock.models.spec.regs import ERROR_SOURCES, REGISTERS, ErrorCause
from tests.support.hwsim import run

LEVELS = (
    "begin",
    "core_reset",
    "core_reset_next",
    "go",
    "halt",
    "busy",
    "done",
    "error",
    "resetting",
    "event",
)
RUN = 4  # the first cycle in which a run started in cycle 0 can end
TIMEOUT, SLVERR, DECERR = ErrorCause.TIMEOUT, ErrorCause.SLVERR, ErrorCause.DECERR


def trace(
    cycles: int, *, watchdog: int = 0, ports: dict[int, list[int]] | None = None, **inputs: str
) -> dict[str, str]:
    """Simulate from a few cycles after power-on; return `LEVELS` with a digit for each cycle.

    Parameters
    ----------
    inputs : str
        A digit for each cycle, then the last one for ever.
    ports : dict
        `port_error` from a cycle on.

    Returns
    -------
    dict
        ``cause`` and ``source`` as well, with their final values only.
    """
    dut = Control()
    levels: dict[str, str] = dict.fromkeys(LEVELS, "")

    async def process(ctx: Any) -> None:
        ctx.set(dut.watchdog, watchdog)
        assert ctx.get(dut.core_reset) == 1, "high after power-on"
        await ctx.tick().repeat(2)
        for cycle in range(cycles):
            for name, digits in inputs.items():
                ctx.set(getattr(dut, name), int(digits[min(cycle, len(digits) - 1)]))
            for index, response in enumerate((ports or {}).get(cycle, [])):
                ctx.set(dut.port_error[index], response)
            for name in LEVELS:
                levels[name] += str(ctx.get(getattr(dut, name)))
            await ctx.tick()
        assert levels["core_reset"][1:] == levels.pop("core_reset_next")[:-1]
        levels["cause"], levels["source"] = str(ctx.get(dut.cause)), str(ctx.get(dut.source))

    run(dut, process)
    return levels


def high(cycles: int, *places: int | range) -> str:
    """Ones at `places`, zeros elsewhere."""
    ones = {k for place in places for k in ([place] if isinstance(place, int) else place)}
    return "".join(str(int(k in ones)) for k in range(cycles))


def expect(got: dict[str, str], cycles: int, **places: tuple[int | range, ...]) -> None:
    """Compare the levels with the places of their ones; levels not given are always 0."""
    want = {name: high(cycles, *places.get(name, ())) for name in LEVELS if name in got}
    assert {name: got[name] for name in want} == want


def test_a_run_that_completes() -> None:
    n = 14
    begun = {"begin": (0,), "core_reset": (1,), "go": (2,)}
    # Levels before the run, and in the first cycle after `go`, are the previous run's.
    got = trace(n, start="10", complete="11110010", log_busy="0")
    expect(got, n, **begun, busy=(range(1, 7),), done=(range(7, n),), event=(7,))
    got = trace(n, start="10", complete="1")
    expect(got, n, **begun, busy=(range(1, RUN + 1),), done=(range(RUN + 1, n),), event=(RUN + 1,))
    # It waits for the last log entry.
    got = trace(n, start="10", complete="1", log_busy="1111111110")
    expect(got, n, **begun, busy=(range(1, 10),), done=(range(10, n),), event=(10,))
    # A start meanwhile changes nothing; one after the end begins a run.
    got = trace(n, start="1111111011", complete="000000010000")
    expect(
        *(got, n),
        **{"begin": (0, 8), "core_reset": (1, 9), "go": (2, 10), "event": (8,)},
        busy=(range(1, 8), range(9, n)),
        done=(8,),
    )


def failing(at: int, idle: int, n: int) -> dict[str, tuple[int | range, ...]]:
    """The levels of a run that fails in cycle `at`; memory is idle in cycle `idle`."""
    return {
        "begin": (0,),
        "core_reset": (1, idle + 1),
        "go": (2,),
        "busy": (range(1, at + 1),),
        "error": (range(at + 1, n),),
        "event": (at + 1,),
        "halt": (range(at + 1, idle + 2),),
        "resetting": (range(at + 1, idle + 2),),
    }


@pytest.mark.parametrize(("at", "idle"), [(RUN, RUN + 1), (RUN, 8), (7, 11)])
def test_a_run_that_fails(at: int, idle: int) -> None:
    n = 16
    # The error takes priority over the end of the run; a start is accepted only after the reset.
    got = trace(
        *(n,),
        start=high(n, 0, idle, idle + 1),
        complete=high(n, range(4), at),
        all_idle=high(n, range(at + 1), idle),
        ports={at: [0, 2, 0, 0], idle + 1: [0, 0, 0, 0]},
    )
    expect(got, n, **failing(at, idle, n))
    assert (got["cause"], got["source"]) == (str(int(SLVERR)), "1")
    # A start clears it.
    got = trace(
        *(n,), start=high(n, 0, 13), all_idle="1", ports={at: [3, 0, 0, 0], at + 1: [0, 0, 0, 0]}
    )
    assert got["error"] == high(n, range(at + 1, 14))
    assert (got["cause"], got["source"]) == ("0", "0")


def test_what_failed() -> None:
    """Ports come first, in their order, then the descriptor, then the watchdog."""
    rng = random.Random(1)
    for _ in range(40):
        responses = [rng.randrange(4) if rng.random() < 0.6 else 0 for _ in ERROR_SOURCES]
        bad = rng.randrange(2)
        got = trace(20, start="10", bad_descriptor=str(bad), watchdog=2, ports={5: responses})
        wrong = [k for k, response in enumerate(responses) if response >= 2]
        # Bad from the beginning, it ends the run before any port answers.
        first = not bad and bool(wrong)
        cause = ErrorCause.BAD_DESCRIPTOR if bad else TIMEOUT
        if first:
            cause = DECERR if responses[wrong[0]] == 3 else SLVERR
        assert got["cause"] == str(int(cause)), responses
        assert got["source"] == str(wrong[0] if first else 0), responses
    # All errors in the same cycle.
    got = trace(20, start="10", bad_descriptor=high(20, 7), watchdog=2, ports={7: [0, 0, 0, 3]})
    assert (got["cause"], got["source"]) == (str(int(DECERR)), "3")
    got = trace(20, start="10", bad_descriptor=high(20, 7), watchdog=2)
    assert got["cause"] == str(int(ErrorCause.BAD_DESCRIPTOR))


@pytest.mark.parametrize("watchdog", [1, 3])
def test_watchdog(watchdog: int) -> None:
    """This many cycles without progress are allowed, one more is not; the time-out is delayed."""
    n = 44
    period = watchdog + 1 + Control.LATE
    # The first cycles count from `RUN` on.
    steps = range(RUN + watchdog + Control.LATE, n, period)
    expect(
        trace(n, start="10", watchdog=watchdog, progress=high(n, *steps)),
        n,
        **{"begin": (0,), "core_reset": (1,), "go": (2,)},
        busy=(range(1, n),),
    )
    first = steps[0]
    for steps in (range(0), range(first, first + 2 * period, period)):
        last = max(steps, default=RUN - 1)
        got = trace(n, start="10", watchdog=watchdog, progress=high(n, *steps))
        # Compared in a cycle of its own.
        expect(got, n, **{**failing(last + period + 1, n, n), "core_reset": (1,)})
        assert got["cause"] == str(int(TIMEOUT))


def test_watchdog_begins_anew_with_each_run() -> None:
    n = 40
    got = trace(n, start=high(n, 0, 20), watchdog=3, all_idle="1")
    ends = RUN + 3 + 1 + Control.LATE
    assert got["busy"] == high(n, range(1, ends + 1), range(21, 21 + ends))
    # 0 is off, and all bits are compared.
    for watchdog in (0, 0x8000_0003):
        assert trace(n, start="10", watchdog=watchdog)["busy"] == high(n, range(1, n))


@pytest.mark.parametrize("watchdog", [0x1_0100, 5])
def test_watchdog_that_is_set_late(watchdog: int) -> None:
    """More than half of the count's bits are in use when it is; it can be over at once."""
    dut = Control()
    idle = 0x1_0010

    async def process(ctx: Any) -> None:
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(RUN - 1 + idle)
        ctx.set(dut.watchdog, watchdog)
        # The comparison and what follows it take the cycles that a time-out is late.
        expected = watchdog - idle + 1 + Control.LATE if watchdog > idle else 2
        for _ in range(expected + 1):
            assert ctx.get(dut.busy)
            await ctx.tick()
        assert not ctx.get(dut.busy)
        assert ctx.get(dut.cause) == TIMEOUT

    run(dut, process, cycles=70_000)


@pytest.mark.parametrize("at", range(10))
def test_soft_reset(at: int) -> None:
    """In every cycle of a run, that of the start and that after the end included."""
    n = 20
    ends = 7
    idle = at + 3
    got = trace(
        *(n,), start="10", reset=high(n, at), complete=high(n, ends), all_idle=high(n, idle)
    )
    expect(
        *(got, n),
        begin=(0,) if at else (),
        core_reset=(*((1,) if at else ()), idle + 1),
        go=(2,) if at > 1 else (),
        busy=(range(1, min(at, ends) + 1),) if at else (),
        done=(range(ends + 1, at + 1),),
        event=(ends + 1,) if at > ends else (),
        halt=(range(at + 1, idle + 2),),
        resetting=(range(at + 1, idle + 2),),
    )


def test_soft_reset_of_a_failed_run() -> None:
    n = 16
    for at in range(6, 12):
        got = trace(
            *(n,),
            start="10",
            reset=high(n, at),
            all_idle=high(n, 8, 13),
            ports={5: [2, 0, 0, 0], 9: [0] * 4},
        )
        assert got["error"] == high(n, range(6, at + 1)), at
        # Memory must be idle after the reset, not before it.
        clean = 9 if at < 8 else 14
        assert got["resetting"][at + 1 :] == high(n, range(clean + 1))[at + 1 :], at
        assert got["core_reset"][at + 1 :] == high(n, clean)[at + 1 :], at
        assert (got["cause"], got["source"]) == ("0", "0")


def test_values_are_as_wide_as_the_registers_fields() -> None:
    dut = Control()
    (error,) = (register for register in REGISTERS if register.name == "ERROR")
    assert {field.name: field.width for field in error.fields} == {
        name: len(getattr(dut, name)) for name in ("cause", "source")
    }
    assert len(dut.watchdog) == 32
