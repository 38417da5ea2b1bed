# amaranth: UnusedElaboratable=no
"""Boards as data: records, the catalog, and boards in external files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil

from penstock.hw.boards.board import Board, OnChip, Processor, Serial
from penstock.hw.boards.catalog import BOARDS, get_board, load_board
from penstock.models.spec.arch import ARCHES, Arch, get_arch
from penstock.models.spec.serial_boards import SERIAL_BOARDS
from tests.support.board_example import write_example
from tests.support.flow_fake import BOARD


def test_names() -> None:
    for name, board in BOARDS.items():
        assert board.name == name
        assert get_board(name) is board
        assert board.preset is ARCHES[str(board.arch)]
    with pytest.raises(ValueError, match=r"board must be one of pynq-z1, .*BOARD, not 'nexys'"):
        get_board("nexys")


def test_both_ends_of_a_serial_port_agree() -> None:
    """The host has a device for each board with a port, by its name and with its rate."""
    serial = {name: board for name, board in BOARDS.items() if isinstance(board.host, Serial)}
    assert serial.keys() == SERIAL_BOARDS.keys()
    for name, board in serial.items():
        shared = SERIAL_BOARDS[name]
        assert isinstance(board.host, Serial)
        assert (board.arch, board.clock_hz) == (shared.arch, shared.clock_hz)
        assert board.host.baud == shared.baud
        assert shared.clock_hz % shared.baud == 0


def pins_of(board: Board) -> set[str]:
    assert isinstance(board.host, Serial)
    pins = board.host.pins
    names = {pins.clock, *pins.inputs.values(), *pins.pads}
    return {
        n.lstrip("~").replace("__", "_") for n in (*names, *(p for p, _ in pins.outputs.values()))
    }


@pytest.mark.parametrize("name", sorted(SERIAL_BOARDS))
def test_pins_are_those_of_the_top_level(name: str) -> None:
    board = BOARDS[name]
    top: Any = board.top(arch=get_arch("tiny"))
    ports = {port.name: len(port) for port in top.ports}
    assert pins_of(board) <= ports.keys()
    assert isinstance(board.host, Serial)
    for pin, width in (*board.host.pins.outputs.values(), *board.host.pins.pads.values()):
        assert ports[pin.lstrip("~")] == width
    for port in ports:
        assert port in top.constraints, "every pin has a place"


def test_the_clock_of_a_processor_is_not_the_boards() -> None:
    assert isinstance(BOARDS["pynq-z2"].host, Processor)
    with pytest.raises(ValueError, match="the clock of pynq-z2 is set by its processor"):
        _ = BOARDS["pynq-z2"].clock_hz


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "my board"}, "name must be letters, digits, dots and dashes, not 'my board'"),
        ({"name": ""}, "name must be letters"),
        ({"resources": {}}, "part 'fake-1' is of no FPGA known here, which are XC7Z010, "),
        ({"target_mhz": 0}, "target_mhz must be positive, not 0"),
        ({"top": "module:Top"}, "top must be a class or a function of the arch, not 'module:Top'"),
        ({"arch": "3x"}, "arch must be one of tiny, .* not '3x'"),
        ({"arch": 3}, "arch must be the name of a preset or an Arch, not 3"),
        ({"host": "serial"}, "host must be a Serial or a Processor, not 'serial'"),
        ({"clock_mhz": None}, "a board on a serial port must say its clock_mhz and its memory"),
        ({"memory": None}, "a board on a serial port must say its clock_mhz and its memory"),
        ({"clock_mhz": 131.0}, "clock_mhz must be from above 0 to target_mhz, not 131.0"),
        ({"host": Processor(registers=0)}, "clock_mhz and memory are the processor's"),
    ],
)
def test_wrong_parameters(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BOARD, **values)


def test_the_board_of_the_guide(tmp_path: Path) -> None:
    board = get_board(str(write_example(tmp_path)))
    assert (board.name, board.memory) == ("my-board", OnChip(32 << 10))
    assert isinstance(board.arch, Arch) and board.preset is board.arch
    top: Any = board.top(arch=board.preset)
    assert pins_of(board) == {port.name for port in top.ports}
    text = rtlil.convert(top, name="penstock", ports=top.ports, emit_src=False)
    assert "EHXPLLL" in text


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("from tests.support.flow_fake import BOARD\n")
    (tmp_path / "mine.py").write_text("from beside_it import BOARD\n")
    assert load_board(tmp_path / "mine.py") is BOARD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "board.py: no such file"),
        ("x = 1\n", r"board.py defines no BOARD: it must say BOARD = Board\(...\)"),
        ("BOARD = 3\n", "board.py defines BOARD as int: it must say"),
        ("import no_such_module\n", "board.py: line 1: ModuleNotFoundError: No module named 'no_"),
        ("\ndef f(:\n", "board.py: line 2: SyntaxError: invalid syntax"),
        ("x = 1\nx / 0\n", "board.py: line 2: ZeroDivisionError: division by zero"),
        (
            "from penstock.hw.boards.board import Board\n\nBOARD = Board(name='x')\n",
            r"board.py: line 3: TypeError: .*missing 7 required keyword-only arguments: 'title'",
        ),
    ],
)
def test_files_that_define_no_board(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "board.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        get_board(str(path))
    assert len(str(caught.value).splitlines()) == 1
