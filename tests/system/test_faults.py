"""Injected faults: some of each kind; and the checks themselves detect errors.

`make faults` injects thousands.  A failure names its seed: ``make faults N=1 SEED=<seed>`` repeats
it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from penstock.host.devices.device import DeviceError
from penstock.host.devices.rtl_model import Fault
from penstock.models.spec.regs import ERROR_SOURCES
from tests.support.faults import (
    ARCH,
    KINDS,
    MEMORY,
    Campaign,
    Case,
    Failed,
    WatchedDevice,
    flip_bits,
)

COUNT = int(os.environ.get("PENSTOCK_FAULTS", "300"))
SEED = int(os.environ.get("PENSTOCK_SEED", "0"))


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    with WatchedDevice(ARCH, memory_bytes=MEMORY) as device:
        yield Campaign(device)


@pytest.fixture
def case(campaign: Campaign) -> Case:
    return Case(campaign, np.random.default_rng(3))


def test_faults(campaign: Campaign) -> None:
    for seed in range(SEED, SEED + COUNT):
        campaign.case(seed)
    kinds = Counter(kind for kind, _ in campaign.outcomes.elements())
    assert kinds.total() == COUNT
    assert COUNT < 300 or set(kinds) == set(KINDS)


def test_every_bit_of_a_descriptor(campaign: Campaign) -> None:
    """Each bit of one descriptor of each engine."""
    case = Case(campaign, np.random.default_rng(1))
    program = case.target.program
    seen = {op: index for index, (op, _) in enumerate(program.descriptors())}
    for index in seen.values():
        for bit in range(0, 512, 7):
            assert flip_bits(case, index, {bit}) == "error"
            case.target.prepare(case.memory, case.number, 0)
            case.before = case.memory.copy()


@pytest.mark.parametrize("port", ERROR_SOURCES)
def test_an_error_in_the_last_beat(case: Case, port: str) -> None:
    """It comes before the run is complete, and the counts have the beat."""
    beats = case.target.program.traffic.beats[port]
    case.device.plan_fault(port, Fault.SLVERR, beats - 1)
    text = case.run()
    case.device.plan_fault(port, Fault.NONE)
    case.must(text, f"memory answered port {port} with SLVERR: beats received: ")
    assert f"{port} {beats} of {beats}" in str(text)
    case.next_run()


# Each check of a case must be able to fail.


def test_a_wrong_byte_is_seen(case: Case) -> None:
    at = case.target.buffer.offset + len(case.target.program.image) - 200
    values = case.memory[at - 2000 : at]
    values ^= 0x55
    case.before = case.memory.copy()
    with pytest.raises(Failed, match="wrong bytes and no error"):
        case.run()


def test_a_byte_outside_the_buffers_is_seen(case: Case) -> None:
    case.before[7] ^= 1
    with pytest.raises(Failed, match="1 bytes outside the buffers changed, at 0x7 first"):
        case.run()


def test_an_error_in_the_next_run_is_seen(case: Case) -> None:
    case.device.plan_fault("desc", Fault.SLVERR, 3)
    with pytest.raises(Failed, match=r"the next run, of .*, fails: memory answered port desc"):
        case.next_run()
    case.next_run()


def test_a_late_watchdog_is_seen(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    start = case.device.csr.start

    def late(**settings: int) -> None:
        start(**{**settings, "watchdog": 100_000})

    monkeypatch.setattr(case.device.csr, "start", late)
    case.device.plan_fault("act", Fault.HANG, 5)
    with pytest.raises(
        Failed, match=r"memory moved nothing for \d+ cycles: no progress for 100000"
    ):
        case.run()
    monkeypatch.undo()
    case.next_run()


def test_a_write_outside_the_buffers_is_refused(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, end = case.target.program.traffic.written[0]
    base = case.target.buffer.offset
    writable = case.device.model.writable
    monkeypatch.setattr(
        case.device.model, "writable", lambda _: writable([(base + first, base + end - 8)])
    )
    with pytest.raises(DeviceError, match="out: a write outside the buffers"):
        case.device.run(case.target.program, case.target.buffer)
    monkeypatch.undo()
    case.next_run()


@pytest.mark.parametrize("port", ["desc", "wgt", "act", "out"])
def test_a_missing_beat_is_seen(case: Case, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    program = case.target.program
    beats = program.traffic.beats[port]
    monkeypatch.setitem(program.traffic.beats, port, beats + 1)
    message = f"the run ended, but {port.upper()}_EXPECTED is {beats}, not {beats + 1}: beats rec"
    with pytest.raises(DeviceError, match=message):
        case.device.run(program, case.target.buffer)
