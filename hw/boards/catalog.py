"""The known boards by name, and external boards from Python files."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from penstock.hw.boards.arty_a7_top import ARTY_A7_100T
from penstock.hw.boards.board import Board
from penstock.hw.boards.pynq_z2_top import PYNQ_Z1, PYNQ_Z2
from penstock.hw.boards.tang_nano_top import TANG_NANO_20K
from penstock.hw.boards.ulx3s_top import ULX3S_25F, ULX3S_45F, ULX3S_85F

__all__ = ["BOARDS", "get_board", "load_board"]

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        *(PYNQ_Z1, PYNQ_Z2),
        *(ULX3S_85F, ULX3S_45F, ULX3S_25F),
        TANG_NANO_20K,
        ARTY_A7_100T,
    )
}


def get_board(name: str) -> Board:
    """Return the board called `name`, or the one that the Python file `name` defines.

    Parameters
    ----------
    name : str
        A name that ends with ``.py`` or contains a folder is a file.

    Raises
    ------
    ValueError
        If there is none, or the file does not define one.
    """
    if name in BOARDS:
        return BOARDS[name]
    if name.endswith(".py") or os.sep in name:
        return load_board(Path(name))
    raise ValueError(
        f"board must be one of {', '.join(BOARDS)}, or a Python file that defines BOARD, "
        f"not {name!r}"
    )


def load_board(path: Path) -> Board:
    """Run a Python file and return its ``BOARD``; it can import modules beside it.

    Raises
    ------
    ValueError
        If it cannot be run, or defines none; the message names the file.
    """
    path = path.resolve()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"penstock_board_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the module they are defined in
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file may raise anything
        raise ValueError(f"{path}: {_place(error, path)}{type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(str(path.parent))
    board = getattr(module, "BOARD", None)
    if not isinstance(board, Board):
        found = "defines no BOARD" if board is None else f"defines BOARD as {type(board).__name__}"
        raise ValueError(f"{path} {found}: it must say BOARD = Board(...), of hw.boards.board")
    return board


def _place(error: Exception, path: Path) -> str:
    """The line of the file that raised an error, as a prefix."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f"line {line}: "
