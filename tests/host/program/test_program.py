"""Programs, their files, and the layouts of tensors."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.program.program import FORMAT_VERSION, Program, ProgramError
from penstock.host.program.tensor_layout import Planes, Runs, part_from_json, part_to_json
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Op
from tests.support.netgen import random_codes, random_network


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(random_network(5), get_arch("tiny"), trace=True)


def test_file_round_trip(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "net.program"
    program.save(path)
    assert Program.load(path) == program
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.program"]


def test_descriptors_start_with_a_load(program: Program) -> None:
    ops = [op for op, _ in program.descriptors()]
    assert len(ops) == program.desc_count
    assert ops[0] is Op.LOAD
    assert ops[-1] is Op.POST


@pytest.mark.parametrize("keep", [0, 3, 8, 20, 100, -40, -1])
def test_cut_short(program: Program, keep: int) -> None:
    with pytest.raises(ProgramError, match=r"cut short|not a penstock program"):
        Program.from_bytes(program.to_bytes()[:keep])


def test_damaged(program: Program) -> None:
    data = bytearray(program.to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(ProgramError, match="damaged"):
        Program.from_bytes(bytes(data))


def test_other_version(program: Program) -> None:
    data = bytearray(program.to_bytes())
    data[8:12] = struct.pack("<I", FORMAT_VERSION + 1)
    with pytest.raises(ProgramError, match=f"version {FORMAT_VERSION + 1}"):
        Program.from_bytes(bytes(data))


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello")
    with pytest.raises(ProgramError, match=r"text: not a penstock program"):
        Program.load(path)


def test_header_that_points_outside(program: Program) -> None:
    wrong = replace(program, desc_count=1 << 20)
    with pytest.raises(ProgramError, match="outside the image"):
        Program.from_bytes(wrong.to_bytes())


def test_descriptors_that_nobody_can_read(program: Program) -> None:
    at = program.desc_offset + 64 + 5
    image = program.image[:at] + b"\x99" + program.image[at + 1 :]
    wrong = replace(program, image=image)
    with pytest.raises(ProgramError, match="the program is wrong: descriptor 1: damaged"):
        Program.from_bytes(wrong.to_bytes())


def test_unwritable_output_leaves_nothing(program: Program, tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError, match="taken"):
        program.save(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_wrong_input_is_refused(program: Program) -> None:
    codes = random_codes(random_network(5), 0)
    with pytest.raises(ValueError, match="must be uint8"):
        program.pack_input(codes.astype(np.int16))
    with pytest.raises(ValueError, match="must be uint8"):
        program.pack_input(codes[1:])


def test_wrong_map_size_is_refused(program: Program) -> None:
    name = next(iter(program.outputs))
    with pytest.raises(ValueError, match="bytes, not 3"):
        program.unpack(name, bytes(3))


@pytest.mark.parametrize("rows", [2, 4, 6, 12, 16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (4, 3, 16), (2, 9, 33)])
def test_planes_round_trip(rows: int, shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    planes = Planes(offset=64, rows=rows, height=height, width=width, channels=channels)
    image = np.random.default_rng(rows).integers(0, 256, shape, np.uint8)
    data = planes.pack(image)
    assert len(data) == planes.size
    np.testing.assert_array_equal(planes.unpack(data), image)
    assert part_from_json(part_to_json(planes)) == planes


def test_plane_addresses() -> None:
    planes = Planes(offset=1000, rows=6, height=3, width=3, channels=7)
    assert (planes.planes, planes.row_bytes, planes.plane_bytes) == (2, 24, 72)
    image = np.zeros((3, 3, 7), np.uint8)
    image[2, 1, 6] = 99
    where = planes.pack(image).index(99)
    assert 1000 + where == planes.address(1, 2) + 1 * 6 + 0


def test_runs_hold_every_window() -> None:
    runs = Runs(
        offset=0,
        rows=4,
        height=6,
        width=7,
        channels=2,
        kernel=(3, 3),
        stride=(2, 1),
        pad=(1, 2),
        fill=9,
        out=(3, 8),
    )
    image = np.random.default_rng(1).integers(0, 256, (6, 7, 2), np.uint8)
    padded = np.full((9, 11, 2), 9, np.uint8)
    padded[1:7, 2:9] = image
    data = runs.pack(image)
    assert len(data) == runs.size
    assert (runs.run, runs.whole, runs.tail) == (6, 1, 6)
    body = runs.body_planes.unpack(data[: runs.body_planes.size])
    tail = runs.tail_planes.unpack(data[runs.body_planes.size :])
    for row in range(6):
        for x in range(8):
            run = padded[row + 1, x : x + 3].reshape(-1)
            np.testing.assert_array_equal(body[row, x], run[:4])
    for y in range(3):
        for x in range(8):
            rest = [padded[2 * y + ky, x : x + 3].reshape(-1)[4:] for ky in range(3)]
            np.testing.assert_array_equal(tail[y, x], np.concatenate(rest))
    assert part_from_json(part_to_json(runs)) == runs
