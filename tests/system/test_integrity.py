"""Damaged data is not used: a flipped bit in a file is refused, one in an upload is detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, Data, DeviceError
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.program.program import Program, ProgramError
from penstock.host.runtime.session import Session
from penstock.models.data.shipped import PHOTOS
from penstock.models.graph import store
from penstock.models.spec.arch import get_arch
from tests.support.commands import Outcome, Run, classify, refused
from tests.support.netgen import make_classifier, random_codes

PHOTO = str(PHOTOS / "chelsea.jpg")
TINY = get_arch("tiny")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program and its network."""
    folder = tmp_path_factory.mktemp("files")
    network = make_classifier()
    store.save(network, folder / "net")
    compile_network(network, TINY).save(folder / "program")
    return folder


def positions(size: int) -> list[int]:
    """Bits to flip: all of the first 64 bytes and of the last 32, and one in some of the others."""
    rng = np.random.default_rng(4)
    ends = [*range(8 * 64), *range(8 * (size - 32), 8 * size)]
    return ends + [8 * byte + int(rng.integers(8)) for byte in range(64, size - 32, 7)]


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_a_flipped_bit_in_a_program(files: Path) -> None:
    data = (files / "program").read_bytes()
    assert Program.from_bytes(data).to_bytes() == data
    for bit in positions(len(data)):
        with pytest.raises(ProgramError, match=r"^[^\n]+$"):
            Program.from_bytes(flipped(data, bit))


def test_a_flipped_bit_in_a_network(files: Path, tmp_path: Path) -> None:
    data = (files / "net").read_bytes()
    path = tmp_path / "net"
    for bit in positions(len(data)):
        path.write_bytes(flipped(data, bit))
        with pytest.raises(ValueError, match=rf"^{path}: [^\n]+$"):
            store.load(path)


@pytest.mark.parametrize("name", ["program", "net"])
@pytest.mark.parametrize("place", ["magic", "version", "length", "middle", "end"])
def test_the_command_refuses_it(
    penstock: Run, files: Path, tmp_path: Path, name: str, place: str
) -> None:
    data = (files / name).read_bytes()
    at = {"magic": 3, "version": 8, "length": 12, "middle": len(data) // 2, "end": len(data) - 1}
    path = tmp_path / name
    path.write_bytes(flipped(data, 8 * at[place] + 1))
    commands = [("inspect", path)] if name == "program" else [("classify", PHOTO, "--model", path)]
    if name == "program":
        commands.append(("classify", PHOTO, "--model", files / "net", "--program", path))
    for command in commands:
        refused(penstock(*command, *(("--arch", "tiny") if len(command) > 2 else ())), str(path))


class Damaging(FunctionalDevice):
    """A device whose memory drops one bit of the write that begins at `where`."""

    where = -1

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        super().write(buffer, data, offset)
        if offset == self.where:
            self.memory[buffer.offset + offset + 100] ^= 0x10


@pytest.mark.parametrize("what", ["program", "input"])
def test_a_damaged_upload(what: str) -> None:
    network = make_classifier()
    program = compile_network(network, TINY)
    where = 0 if what == "program" else program.input.offset
    message = r"^upload of \d+ bytes to 0x[0-9a-f]+: 1 of \d+ bytes differ in memory, the first at "
    codes = random_codes(network, 1)
    with Damaging(TINY, memory_bytes=1 << 20) as device:
        device.verify = True
        with Session(network, program, device) as session:
            list(session.run([codes]))
            inputs = sum(len(data) for _, data in program.pack_input(codes))
            assert device.uploaded == device.verified == len(program.image) + inputs
        device.where = where
        with (
            pytest.raises(DeviceError, match=f"{message}100: 0x"),
            Session(network, program, device) as session,
        ):
            list(session.run([codes]))
        # Nothing is read back by default.
        device.verify = False
        device.where = program.input.offset
        with Session(network, program, device) as session:
            list(session.run([codes]))


def verified(outcome: Outcome) -> int:
    """Bytes that a command says it verified: all it uploaded."""
    assert outcome.status == 0, outcome
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("verified: "))
    words = line.split()
    assert words[1] == words[3]
    assert line.endswith("bytes uploaded were read back, all equal")
    return int(words[1])


def test_verify(penstock: Run, files: Path, tmp_path: Path) -> None:
    once = verified(classify(penstock, PHOTO, "--verify"))
    twice = verified(classify(penstock, PHOTO, PHOTO, "--verify", "--jobs", "1"))
    assert once < twice < 2 * once
    assert "verified" not in classify(penstock, PHOTO).out
    options = ("--device", "functional", "--arch", "tiny", "--verify")
    assert verified(penstock("profile", "--model", "tiny", *options)) == once
    assert verified(penstock("watch", tmp_path, "--once", "--model", files / "net", *options)) > 0


def test_verify_finds_a_damaged_upload(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.host.devices.functional.FunctionalDevice", Damaging)
    monkeypatch.setattr(Damaging, "where", 0)
    outcome = classify(penstock, PHOTO, "--verify")
    assert outcome.status == 1, outcome
    assert "upload of" in outcome.err
    assert "1 of" in outcome.err
