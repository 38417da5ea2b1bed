"""The layout beside a waveform names what is in it; another reader of FST files is the judge."""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pylibfst
import pytest

import penstock as ps
from penstock.host.waves.fst_hierarchy import _unpack_lz4, signals
from penstock.host.waves.wave_layout import GROUPS, layout, write_layout
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS
from penstock.sim.bench.runner import run


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the `rtl` device writes; the layout comes with it."""
    path = tmp_path_factory.mktemp("waves") / "rtl.fst"
    compiled = ps.compile(ps.load("tiny"), "tiny")
    codes = np.zeros(compiled.network.input.shape, np.uint8)
    with ps.Device("rtl", compiled.arch, waves=path) as device:
        device.run(compiled, codes, raw=True, check=True)
    return path


def judged(path: Path) -> dict[str, int]:
    """Names and widths, as GTKWave's own library reads them."""
    file = pylibfst.lib.fstReaderOpen(str(path).encode())
    try:
        _, found = pylibfst.get_scopes_signals2(file)
        return {name.replace(" ", ""): signal.length for name, signal in found.by_name.items()}
    finally:
        pylibfst.lib.fstReaderClose(file)


def named(text: str) -> list[str]:
    """The signals of a layout."""
    lines = [line for line in text.splitlines() if line[0] not in "@-["]
    return [re.sub(r"^\+\{[\w ]+\} ", "", line) for line in lines if line[0] != "["]


def complete(path: Path, text: str) -> None:
    """Check that every signal of a layout is there, and every one of `GROUPS` in it."""
    there = judged(path)
    found = named(text)
    assert not [name for name in found if name not in there]
    bare = [name.partition("[")[0] for name in found]
    for patterns in GROUPS.values():
        for pattern in patterns:
            assert any(fnmatchcase(name, f"*.{pattern}") for name in bare), pattern


def test_every_signal_is_in_the_waveform(waves: Path) -> None:
    complete(waves, waves.with_suffix(".gtkw").read_text())


def test_groups_are_closed(waves: Path) -> None:
    text = layout(waves)
    opened = re.findall(r"^@[8c]00200\n-(.+)$", text, re.MULTILINE)
    assert opened == list(GROUPS) == re.findall(r"^@1000200\n-(.+)$", text, re.MULTILINE)
    for name, _ in LOG_FIELDS:
        assert f"+{{{name}}} " in text


def test_other_signals_are_read_as_well(waves: Path) -> None:
    assert signals(waves) == judged(waves)


def test_icarus(tmp_path: Path) -> None:
    """Icarus packs the names in another way, and calls the core `top`."""
    from penstock.hw.core.accel import Accel

    path = tmp_path / "icarus.fst"
    run(
        Accel(arch=get_arch("tiny")),
        "tests.support.bench_reset",
        simulator="icarus",
        waves=path,
    )
    assert signals(path) == judged(path)
    complete(path, layout(path))


def test_what_somebody_saved_is_kept(waves: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.fst"
    shutil.copy(waves, path)
    made = write_layout(path)
    first = made.read_text()
    made.write_text(first + "@28\nmore\n")
    assert write_layout(path).read_text() == first
    made.write_text("[*]\n[*] GTKWave Analyzer v3.3.118\n")
    assert write_layout(path).read_text() == "[*]\n[*] GTKWave Analyzer v3.3.118\n"


def test_what_is_no_waveform(waves: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.fst"
    data = waves.read_bytes()
    for content in (b"", b"text", data[: len(data) // 2], data[:-100]):
        half.write_bytes(content)
        with pytest.raises(ValueError, match=r"half\.fst: not a complete FST waveform"):
            layout(half)
    with pytest.raises(ValueError, match=r"a\.gtkw: \.gtkw is what the layout"):
        write_layout(tmp_path / "a.gtkw")


def test_lz4() -> None:
    # Three literals, a copy of nine bytes from three back, which runs into itself, two literals.
    assert _unpack_lz4(b"\x35abc\x03\x00\x20xy", 14) == b"abc" * 4 + b"xy"
    # Lengths of more than four bits: 15 + 255 + 1 literals.
    long = bytes(range(256)) + b"fifteen more ..."[:15]
    assert _unpack_lz4(b"\xf0\xff\x01" + long, 271) == long
    with pytest.raises(IndexError):
        _unpack_lz4(b"\x15a\x09\x00", 10)
