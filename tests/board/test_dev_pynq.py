"""The pynq device on the simulated board: the same bytes, no leaks, both ways to wait."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.csr import Csr
from penstock.host.devices.device import Buffer, DeviceError, DeviceFull
from penstock.host.devices.pynq.linux import Interrupt
from penstock.host.devices.pynq.pynq_sim import PynqSimDevice
from penstock.host.devices.pynq.simulated_board import CMA_BASE
from penstock.host.devices.rtl_model import Fault, Profile
from penstock.host.program.program import Program
from penstock.host.runtime.resident import Resident
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES
from penstock.models.spec.regs import ERROR_SOURCES, LOG_FIELDS, REGISTERS
from tests.support.device_memory import check_memory
from tests.support.infer import check_maps, infer, load, write_images
from tests.support.netgen import random_codes
from tests.support.small_network import small_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ARCH = get_arch("tiny")
WATCHDOG = 20_000


NETWORK = small_network()


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(NETWORK, ARCH)


@pytest.fixture(params=["interrupt", "polling"])
def device(request: pytest.FixtureRequest) -> Iterator[PynqSimDevice]:
    with PynqSimDevice(ARCH, watchdog=WATCHDOG, interrupt=request.param == "interrupt") as device:
        yield device


def codes(seed: int) -> NDArray[np.uint8]:
    return random_codes(NETWORK, seed)


def check(device: PynqSimDevice, program: Program, buffer: Buffer, seed: int) -> None:
    check_maps(infer(device, program, buffer, codes(seed)), NETWORK, codes(seed))


def test_second_run_equals_the_first(program: Program, device: PynqSimDevice) -> None:
    buffer = load(device, program)
    for seed in (1, 2, 1):
        check(device, program, buffer, seed)


def test_the_same_bytes_as_rtl(program: Program, device: PynqSimDevice) -> None:
    # Compare not only the maps but every byte of the program's memory.
    with open_device("rtl", ARCH) as rtl:
        images = []
        for seed in (1, 2):
            found = []
            for each in (device, rtl):
                buffer = load(each, program, seed=seed)
                check_maps(infer(each, program, buffer, codes(seed)), NETWORK, codes(seed))
                found.append(each.read(buffer, 0, program.arena_bytes))
                each.free(buffer)
            np.testing.assert_array_equal(*found)
            images.append(found[0])
        assert (images[0] != images[1]).any()


def test_progress_of_a_run(
    program: Program, device: PynqSimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.host.devices.pynq.simulated_board._CHUNK", 500)
    assert device.counts_cycles
    told: list[int] = []
    device.heard = told.append
    buffer = load(device, program)
    told.clear()
    check(device, program, buffer, 1)
    cycles = device.counters()["cycles"]
    assert len(told) >= cycles // 500 - 1
    assert told == sorted(told)
    assert cycles - 1000 <= told[-1] <= cycles + 1000
    device.heard = None
    check(device, program, buffer, 2)
    assert told[-1] <= cycles + 1000


def test_log(program: Program, device: PynqSimDevice) -> None:
    buffer = load(device, program)
    write_images(device, program, buffer, [codes(1)])
    log = device.run(program, buffer)
    assert len(log.entries) == len(program.layers)
    assert list(log.totals) == [name for name, _ in LOG_FIELDS]
    assert log.totals == device.counters()
    assert log.totals["cycles"] > log.totals["busy"] > 0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How each wait for an interrupt ended; before the interrupt, no run appears ended."""
    waits: list[bool] = []
    wait = Interrupt.wait
    ended = Csr.ended.fget
    assert ended is not None

    def look(csr: Csr) -> bool:
        # The host waits, however fast the board is.
        return any(waits) and ended(csr)

    monkeypatch.setattr(
        Interrupt, "wait", lambda self, seconds: waits.append(wait(self, seconds)) or waits[-1]
    )
    monkeypatch.setattr(Csr, "ended", property(look))
    return waits


def test_the_end_comes_by_interrupt(program: Program, waits: list[bool]) -> None:
    with PynqSimDevice(ARCH) as device:
        assert device.uses_interrupt
        check(device, program, load(device, program), 1)
    assert waits[-1]
    # A system without it polls.
    with PynqSimDevice(ARCH, interrupt=False) as device:
        assert not device.uses_interrupt


def test_an_interrupt_that_is_enabled_late_comes(
    program: Program, waits: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    enable = Interrupt.enable

    def late(self: Interrupt) -> None:
        def when_ended() -> None:
            # The line has been 1 for long by then.
            while not device.board._model.irq:
                time.sleep(0.01)
            time.sleep(0.1)
            enable(self)

        threading.Thread(target=when_ended, daemon=True).start()

    monkeypatch.setattr(Interrupt, "enable", late)
    with PynqSimDevice(ARCH) as device:
        check(device, program, load(device, program), 1)
    assert waits[-1]


def test_pynq_is_what_drives_the_board(program: Program) -> None:
    import pynq

    with PynqSimDevice(ARCH) as device:
        overlay = device.overlay
        assert type(overlay) is pynq.Overlay
        assert overlay.is_loaded()
        assert pynq.Clocks.fclk0_mhz == pytest.approx(device.handoff.fclk_mhz)
        core = overlay.penstock
        assert core.register_map.ID.value == int.from_bytes(b"PSTK", "little")
        assert {register.name for register in REGISTERS} <= set(dir(core.register_map))
        check(device, program, load(device, program), 1)
        assert core.register_map.STATUS.done == 1


def test_what_the_core_reads_went_through_the_cache(program: Program) -> None:
    with PynqSimDevice(ARCH) as device:
        buffer = load(device, program)
        memory = device.board._model.memory[buffer.offset :][: buffer.size]
        assert not memory.any(), "nothing was flushed yet"
        check(device, program, buffer, 1)
        assert bytes(memory[: len(program.image)]) == program.image


def test_nothing_around_the_arena_is_touched(program: Program, device: PynqSimDevice) -> None:
    memory = device.board._model.memory
    guards = [device.alloc(4096), device.alloc(program.arena_bytes), device.alloc(4096)]
    sizes = [4096, -(-program.arena_bytes // 4096) * 4096]
    assert [guard.offset for guard in guards] == [CMA_BASE + sum(sizes[:n]) for n in range(3)]
    for guard in (guards[0], guards[2]):
        device.write(guard, np.full(4096, 0xC3, np.uint8))
    device.write(guards[1], program.image)
    check(device, program, guards[1], 3)
    for guard in (guards[0], guards[2]):
        assert (device.read(guard, 0, 4096) == 0xC3).all()
    assert not memory[:CMA_BASE].any()
    assert not memory[guards[2].offset + 4096 :][: 1 << 20].any()


def test_networks_side_by_side(program: Program) -> None:
    other = compile_network(NETWORK, ARCH, batch=2)
    with PynqSimDevice(ARCH) as device:
        downloads: list[object] = []
        device.board.download = downloads.append
        with Resident(device) as resident:
            resident.add("one", NETWORK, program, check=True)
            resident.add("two", NETWORK, other, check=True)
            assert len(device.board.pieces) == 2
            for name, seed in (("one", 1), ("two", 2), ("one", 2), ("one", 1), ("two", 1)):
                (result,) = resident.run(name, [codes(seed)])
                assert result.compared
                assert result.mismatches == ()
            with pytest.raises(DeviceFull, match=r"no .* bytes of contiguous memory"):
                device.alloc(128 << 20)
            resident.remove("one")
            assert len(device.board.pieces) == 1
            assert resident.run("two", [codes(3)])[0].mismatches == ()
        assert not device.board.pieces
        assert (downloads, device.csr.resets) == ([], 0)


def test_everything_is_given_back(program: Program) -> None:
    device = PynqSimDevice(ARCH)
    load(device, program)
    assert device.board.pieces
    device.close()
    device.close()
    assert not device.board.pieces
    with pytest.raises(DeviceError, match="the device is closed"):
        device.read(Buffer(0, 10), 0, 1)


@pytest.mark.parametrize("moment", ["start", "wait"])
def test_an_interrupted_run(
    program: Program,
    device: PynqSimDevice,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    buffer = load(device, program)
    write_images(device, program, buffer, [codes(1)])

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = device.csr if moment == "start" else device
        patch.setattr(target, "start" if moment == "start" else "_wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            device.run(program, buffer)
    check(device, program, buffer, 1)


def test_an_interrupted_program_leaves_no_buffer(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    device = PynqSimDevice(ARCH)
    monkeypatch.setattr(device, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt), device:
        infer(device, program, load(device, program), codes(1))
    assert not device.board.pieces


@pytest.mark.parametrize("port", ERROR_SOURCES)
@pytest.mark.parametrize("kind", [Fault.SLVERR, Fault.HANG])
def test_faults(program: Program, device: PynqSimDevice, port: str, kind: Fault) -> None:
    buffer = load(device, program)
    model = device.board._model
    beat = {"desc": 20, "wgt": 30, "act": 30, "out": 10}[port]
    model.fault(ERROR_SOURCES.index(port), kind, beat)
    if kind is Fault.HANG:
        # A port that hangs for ever also prevents the core from stopping.
        device.reset_limit = 0.1
    with pytest.raises(DeviceError) as caught:
        infer(device, program, buffer, codes(1))
    text = str(caught.value)
    if kind is Fault.HANG:
        assert text.startswith(f"no progress for {WATCHDOG} cycles: beats received: ")
        counts = re.search(rf"{port} (\d+) of (\d+)", text)
        assert counts is not None
        assert int(counts[1]) < int(counts[2])
    else:
        assert text.startswith(f"memory answered port {port} with SLVERR: beats received: ")
    assert re.search(r" STATUS=[4c] ", text)
    assert "\n" not in text
    model.fault(ERROR_SOURCES.index(port), Fault.NONE, 0)
    check(device, program, buffer, 2)


def test_uploads_are_verified_in_memory(
    program: Program, device: PynqSimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads return the contents of memory, not of the processor's cache."""
    buffer = device.alloc(program.arena_bytes)
    monkeypatch.setattr(device, "verify", True)
    device.upload(buffer, program.image)
    flush = device.board.flush

    def damaging(piece: Any, *where: int) -> None:
        flush(piece, *where)
        device.board._model.memory[piece.offset + 77] ^= 4

    monkeypatch.setattr(device.board, "flush", damaging)
    with pytest.raises(DeviceError, match=r"1 of \d+ bytes differ in memory, the first at 77: 0x"):
        device.upload(buffer, program.image)
    monkeypatch.undo()
    device.upload(buffer, program.image)
    check(device, program, buffer, 1)


def test_a_damaged_descriptor(program: Program, device: PynqSimDevice) -> None:
    buffer = load(device, program)
    where = program.desc_offset + 2 * DESCRIPTOR_BYTES + 30
    device.write(buffer, bytes([program.image[where] ^ 1]), where)
    message = "descriptor 2 is damaged or for no engine: .* the first at 30: 0x.* STATUS="
    with pytest.raises(DeviceError, match=message):
        infer(device, program, buffer, codes(1))
    device.write(buffer, program.image)
    check(device, program, buffer, 1)


def test_timeout(program: Program, device: PynqSimDevice) -> None:
    buffer = load(device, program)
    device.watchdog = 0
    device.reset_limit = 0.1
    device.board._model.fault(0, Fault.HANG, 8)
    with pytest.raises(
        DeviceError, match=r"no end after 0\.2 s: beats received: desc 8 of .*STATUS=1"
    ):
        device.run(program, buffer, timeout=0.2)
    # Memory that it may still write to is not reused.
    device.free(buffer)
    assert buffer.offset in device.board.pieces
    # The next run finds that the core does not stop, and reports it.
    with pytest.raises(DeviceError, match="the core does not stop: beats received: desc 8 of"):
        device.run(program, buffer)
    device.board._model.fault(0, Fault.NONE, 0)
    check(device, program, buffer, 1)


def test_a_slow_memory_changes_time_and_nothing_else(program: Program) -> None:
    profile = Profile(latency=200, stall_per_mille=300, seed=3)
    with open_device("pynq-sim", ARCH, profile=profile) as device:
        check_maps(infer(device, program, load(device, program), codes(1)), NETWORK, codes(1))


def test_other_arch_is_refused(device: PynqSimDevice) -> None:
    other = compile_network(NETWORK, get_arch("4x8"))
    buffer = device.alloc(other.arena_bytes)
    with pytest.raises(DeviceError, match=r"for arch 4x8 .* the device is tiny \(4x4"):
        device.run(other, buffer)


def test_memory(device: PynqSimDevice) -> None:
    check_memory(device)


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="watchdog must be from 0 to 4294967295, not -1"):
        open_device("pynq-sim", ARCH, watchdog=-1)
