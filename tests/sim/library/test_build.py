"""The simulation library: build, cache, memory model, rule checks, faults, waves."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from penstock.host.devices.rtl_model import Fault, Model, ModelError, Profile
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import ERROR_SOURCES, LOG_BASE, LOG_FIELDS, MAGIC, ErrorCause
from penstock.sim.library import build, toolchain
from tests.support import copier, rule_breaker
from tests.support.rule_breaker import RuleBreaker

ARCH = get_arch("tiny")
MEMORY = 4 << 20
START, RESET = 1, 2
DONE, ERROR, RESETTING = 2, 4, 8


def library(
    waves: bool = False,
    train: build.Train | None = None,
    progress: build.Progress | None = None,
) -> Path:
    text = build.verilog(
        lambda: copier.Copier(arch=ARCH),
        identity=f"Copier {ARCH.fingerprint:016x}",
        sources=[Path(copier.__file__)],
        progress=progress,
    )
    return build.build_library(text, waves=waves, train=train, progress=progress)


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model(library(), memory_bytes=MEMORY)
    yield model
    model.close()


def start(model: Model, *, address: int = 0x1000, beats: int = 100, watchdog: int = 1000) -> None:
    model.write("BASE", 0)
    model.write("DESC_ADDR", address)
    model.write("DESC_COUNT", beats)
    model.write("WATCHDOG", watchdog)
    model.write("IRQ_ENABLE", 1)
    model.write("IRQ_PENDING", 1)
    model.write("CTRL", START)


def copy(model: Model, seed: int, *, address: int = 0x1000, beats: int = 100) -> int:
    """Run one copy, check it and the bytes around it, and return the cycles."""
    rng = np.random.default_rng(seed)
    model.memory[:] = 0xA5
    data = rng.integers(0, 256, 8 * beats, np.uint8)
    model.memory[address : address + 8 * beats] = data
    expected = model.memory.copy()
    target = address + copier.DISTANCE
    expected[target : target + 8 * beats] = data
    start(model, address=address, beats=beats)
    cycles = model.run(100_000)
    assert model.irq
    assert model.read("STATUS") == DONE
    np.testing.assert_array_equal(model.memory, expected)
    return cycles


def test_registers(model: Model) -> None:
    assert model.read("ID") == MAGIC
    assert model.read("FINGERPRINT_LO") | model.read("FINGERPRINT_HI") << 32 == ARCH.fingerprint
    model.write("BASE", 0x1234_5678)
    assert model.read("BASE") == 0x1234_5678
    assert model.read(0x1FFC) == 0


@pytest.mark.parametrize("seed", range(6))
def test_copies_any_range(model: Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(3):
        profile = Profile(
            latency=int(rng.integers(0, 60)),
            stall_per_mille=int(rng.choice([0, 50, 700])),
            seed=seed,
            jitter=int(rng.choice([0, 50])),
            refuse_per_mille=int(rng.choice([0, 300])),
        )
        model.profile(profile)
        beats = int(rng.choice([1, 2, 15, 16, 17, 600]))
        copy(model, seed, address=8 * int(rng.integers(0, 2000)), beats=beats)


def test_bandwidth_latency_and_reproducibility(model: Model) -> None:
    beats = 4000
    model.profile(Profile(stall_per_mille=0))
    free = copy(model, 0, beats=beats)
    # Three reads and one write share one beat a cycle; other costs are small.
    assert 4 * beats <= free <= 4 * beats + 400
    model.profile(Profile(stall_per_mille=50))
    stalled = copy(model, 0, beats=beats)
    assert 1.03 < stalled / free < 1.07
    model.profile(Profile(stall_per_mille=50))
    assert copy(model, 0, beats=beats) == stalled
    model.profile(Profile(stall_per_mille=0, latency=40))
    near = copy(model, 0, beats=1)
    model.profile(Profile(stall_per_mille=0, latency=140))
    # One read and one acknowledged write.
    assert copy(model, 0, beats=1) == near + 200
    counts = {name: model.read(name.upper()) for name, _ in LOG_FIELDS}
    assert counts["read_beats"] == 3
    assert counts["write_beats"] == 1
    assert model.read("LOG_COUNT") == 1
    logged = model.read(LOG_BASE)
    assert 0 < logged <= counts["cycles"]


def test_outside_the_memory(model: Model) -> None:
    start(model, address=MEMORY - 80, beats=20)
    model.run(100_000)
    assert model.read("STATUS") & ERROR
    assert model.read("ERROR") & 0xFF == ErrorCause.DECERR


def test_writes_outside_a_range(model: Model) -> None:
    target = 64 + copier.DISTANCE
    model.writable([(0, 64), (target, target + 80)])
    copy(model, 1, address=64, beats=10)
    with pytest.raises(ModelError, match="out: a write outside the buffers"):
        copy(model, 1, address=64, beats=11)
    model.reset()
    model.writable([])
    copy(model, 1, address=64, beats=11)


@pytest.mark.parametrize("port", range(4))
@pytest.mark.parametrize("kind", [Fault.SLVERR, Fault.DECERR])
def test_error_responses(model: Model, port: int, kind: Fault) -> None:
    model.fault(port, kind, beat=37)
    start(model)
    model.run(100_000)
    assert model.read("STATUS") & ERROR
    cause = ErrorCause.SLVERR if kind is Fault.SLVERR else ErrorCause.DECERR
    assert model.read("ERROR") == cause | port << 8
    assert model.read(f"{ERROR_SOURCES[port].upper()}_RECEIVED") in range(33, 49)
    # The bursts in flight complete, and the next run is right.
    model.run(0)
    for _ in range(200):
        if not model.read("STATUS") & RESETTING:
            break
    model.fault(port, Fault.NONE)
    copy(model, port)


@pytest.mark.parametrize("port", range(4))
def test_hang_ends_with_the_watchdog(model: Model, port: int) -> None:
    model.fault(port, Fault.HANG, beat=50)
    start(model, beats=200)
    assert model.run(100_000) < 5000
    assert model.read("ERROR") == ErrorCause.TIMEOUT
    name = ERROR_SOURCES[port].upper()
    assert model.read(f"{name}_RECEIVED") < model.read(f"{name}_EXPECTED")
    assert model.read("STATUS") == ERROR | RESETTING
    # The memory recovers: the pending soft reset then completes.
    model.fault(port, Fault.NONE)
    model.write("CTRL", RESET)
    for _ in range(400):
        if not model.read("STATUS"):
            break
    copy(model, 1)
    # It does not: a hard reset is needed.
    model.fault(port, Fault.HANG, beat=50)
    start(model, beats=200)
    model.run(100_000)
    model.fault(port, Fault.NONE)
    model.reset()
    copy(model, 2)


@pytest.fixture(name="play")
def breaker() -> Iterator[Callable[..., None]]:
    """A call sets address, burst shape and valids of the rule breaker, then lets it run."""
    text = build.verilog(
        lambda: RuleBreaker(arch=ARCH),
        identity=f"RuleBreaker {ARCH.fingerprint:016x}",
        sources=[Path(rule_breaker.__file__)],
    )
    model = Model(build.build_library(text), memory_bytes=MEMORY)

    def play(
        address: int = 0, beats: int = 1, size: int = 3, burst: int = 1, valid: int = 0
    ) -> None:
        model.write("BASE", address)
        model.write("DESC_ADDR", beats - 1 | size << 8 | burst << 12)
        model.write("DESC_COUNT", valid)
        model.write("CTRL", START)
        model.run(100)

    yield play
    model.close()


READ, ADDRESS, DATA, LAST, HOLD = 1, 2, 4, 8, 16


def test_good_bursts_break_no_rule(play: Callable[..., None]) -> None:
    for valid in (READ, ADDRESS, ADDRESS | READ):
        play(address=0xFF8, beats=1, valid=valid)
        play(address=0xF80, beats=16, valid=valid)
        play()


@pytest.mark.parametrize(("valid", "port"), [(READ, "act"), (ADDRESS, "out")])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beats": 17}, "a burst of more than 16 beats"),
        ({"address": 0xFF8, "beats": 2}, "a burst that crosses 4 KiB"),
        ({"address": 0x104}, "an address that is not a multiple of 8"),
        ({"size": 2}, "not an INCR burst of 8-byte beats"),
        ({"burst": 0}, "not an INCR burst of 8-byte beats"),
    ],
)
def test_bad_bursts(
    play: Callable[..., None], valid: int, port: str, values: dict[str, int], message: str
) -> None:
    with pytest.raises(ModelError, match=f"AXI rules broken: {port}: {message}"):
        play(valid=valid, **values)


def test_an_address_must_hold(play: Callable[..., None]) -> None:
    # Without data, the write port takes 16 addresses and no more.
    play(valid=ADDRESS | HOLD)
    with pytest.raises(ModelError, match="out: an address changed before it was accepted"):
        play(address=8, valid=ADDRESS | HOLD)


def test_write_data_must_hold(play: Callable[..., None]) -> None:
    # Without an address, no data is taken.
    play(valid=DATA | HOLD)
    with pytest.raises(ModelError, match="out: write data changed before it was accepted"):
        play(address=8, valid=DATA | HOLD)


def test_last_must_be_last(play: Callable[..., None]) -> None:
    with pytest.raises(ModelError, match="out: wlast at the wrong beat"):
        play(beats=2, valid=ADDRESS | DATA | LAST | HOLD)


def test_waves(tmp_path: Path) -> None:
    model = Model(library(waves=True), memory_bytes=MEMORY)
    path = tmp_path / "waves.fst"
    model.trace(path)
    copy(model, 0, beats=20)
    model.close()
    assert path.stat().st_size > 1000
    names = hierarchy(path.read_bytes())
    for name in (b"m_act__araddr", b"bank", b"clk"):
        assert name in names


def test_waves_need_their_library(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ModelError, match="cannot write waves: the simulation was built without"):
        model.trace(tmp_path / "waves.fst")


def hierarchy(data: bytes) -> bytes:
    """Names in an FST file: its LZ4-compressed hierarchy block, unpacked."""
    position = 0
    while position < len(data):
        kind = data[position]
        length = int.from_bytes(data[position + 1 : position + 9], "big")
        if kind == 6:
            size = int.from_bytes(data[position + 9 : position + 17], "big")
            result = unpack_lz4(data[position + 17 : position + 1 + length])
            assert len(result) == size
            return result
        position += 1 + length
    raise AssertionError("no hierarchy block")


def unpack_lz4(block: bytes) -> bytes:
    out = bytearray()
    position = 0

    def extend(length: int) -> int:
        nonlocal position
        if length == 15:
            while True:
                more = block[position]
                position += 1
                length += more
                if more != 255:
                    break
        return length

    while position < len(block):
        token = block[position]
        position += 1
        literals = extend(token >> 4)
        out += block[position : position + literals]
        position += literals
        if position >= len(block):
            break
        offset = int.from_bytes(block[position : position + 2], "little")
        position += 2
        for _ in range(extend(token & 15) + 4):
            out.append(out[-offset])
    return bytes(out)


def _build(cache: str) -> tuple[str, list[str]]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", cache)
        return str(library(progress=said.append)), said


def test_two_builds_at_once_and_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        (first, said), (second, more) = pool.map(_build, [str(cache)] * 2)
    assert first == second
    assert Path(first).parent == cache
    # One of them built each thing, the other waited for it.
    for text in ("generating Verilog", "translating Verilog to C++", "linking"):
        assert (said + more).count(text) == 1
    # What is left over is finished files and locks only.
    assert {path.suffix for path in cache.iterdir()} == {".sv", ".o", ".so", ".lock", ".sha256"}
    again, said = _build(str(cache))
    assert again == first
    assert not said


def _train(path: Path) -> None:
    model = Model(path, memory_bytes=MEMORY)
    copy(model, 0)
    model.close()


def test_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    trained: list[Path] = []

    def train_without_profile(path: Path) -> None:
        # Where the profile of the harness would go.
        (path.parent / "harness.gcda").mkdir()

    def train(path: Path) -> None:
        trained.append(path)
        _train(path)

    # A failed training leaves no file that could be mistaken for a library.
    with pytest.raises(toolchain.ToolError, match=r"no profile of .*harness\.cpp"):
        library(train=train_without_profile)
    assert not list(tmp_path.glob("accel-*.so"))
    said: list[str] = []
    path = library(train=train, progress=said.append)
    assert said.index("training") < said.index("linking")
    assert library(train=train) == path
    assert len(trained) == 1
    assert not trained[0].exists()
    _train(path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".sv", ".o", ".so", ".lock", ".sha256"}
    assert b"__gcov" not in path.read_bytes()


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(toolchain.ToolError, match=r"no-such-compiler is missing.*apt-get install"):
        build.build_library("", waves=False)


def test_a_failing_tool_shows_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    with pytest.raises(toolchain.ToolError, match="verilator_bin failed with exit status"):
        build.build_library("this is no Verilog", waves=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Profile(stall_per_mille=1000), "stall_per_mille must be from 0 to 999, not 1000"),
        (lambda: Profile(latency=-1), "latency must be from 0"),
        (lambda: Profile(jitter=-1), "jitter must be from 0"),
        (lambda: Profile(refuse_per_mille=-1), "refuse_per_mille must be from 0 to 999, not -1"),
        (lambda: Model(Path("x"), memory_bytes=5000), "memory_bytes must be a multiple of 4096"),
    ],
)
def test_wrong_parameters(change: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change()


def test_libraries_share_nothing_but_the_interface() -> None:
    # Several are open in one process.  Constant tables of equal name would be merged by the linker:
    # the second library would compute with the first one's.
    path = build.library(ARCH)
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True
    )
    symbols = [line.split()[-2:] for line in listing.stdout.splitlines()]
    assert [name for _, name in symbols if name.startswith("penstock_")]
    functions = ("T", "W")
    data = [name for kind, name in symbols if kind not in functions]
    assert not [name for name in data if "Vaccel" in name or "Verilated" in name]
