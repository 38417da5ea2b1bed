"""Runs cocotb benches against Amaranth components, on Verilator and on Icarus.

Only the ports of the component are visible to a bench, which keeps both the compilation and the
simulation fast.  What is compiled is cached by content.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from penstock.models.spec.cache_folder import cache_dir, digest
from penstock.sim.library.cxx import FLAGS, Progress, compile_units, runtime, say, translate
from penstock.sim.library.entries import cached
from penstock.sim.library.toolchain import (
    call,
    compiler,
    compiler_identity,
    iverilog,
    versions,
)
from penstock.sim.library.verilog import to_verilog

__all__ = ["SIMULATORS", "TOP", "BenchError", "needs_zero_memories", "parameters", "run"]

SIMULATORS = ("verilator", "icarus")

# Name of the top module.
TOP = "top"
_PARAMETERS = "PENSTOCK_BENCH"
_TIMESCALE = "`timescale 1ns/1ps\n"


class BenchError(AssertionError):
    """A cocotb test failed; the message has the log of the simulation."""


def needs_zero_memories(simulator: str) -> bool:
    """Whether Verilog for this simulator must initialise memories that are all zeros."""
    return simulator == "icarus"


def parameters() -> Any:
    """The `parameters` passed to `run`; for use in a bench."""
    return json.loads(os.environ.get(_PARAMETERS, "{}"))


def run(
    component: wiring.Component | str,
    test_module: str,
    *,
    simulator: str = "verilator",
    parameters: Mapping[str, object] | None = None,
    testcase: str | None = None,
    seed: int = 1,
    waves: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Run the cocotb tests of a module against `component`.

    Parameters
    ----------
    component : wiring.Component or str
        Becomes the module ``top``, with ports named as by `sim.library.verilog.to_verilog`; or its
        Verilog.
    test_module : str
        Name of the Python module with the tests.
    simulator : str
        One of `SIMULATORS`.
    parameters : mapping
        For `parameters` in the bench: anything that JSON holds.
    testcase : str or None
        Run only the test with this name.
    seed : int
        Of Python's ``random`` in the bench.
    waves : Path or None
        Where to write FST waves.

    Returns
    -------
    str
        The log of the simulation.

    Raises
    ------
    BenchError
        If a test fails, or none runs.
    ToolError
        If a tool is missing or fails.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    if isinstance(component, str):
        text = component
    else:
        say(progress, "generating Verilog")
        text = to_verilog(component, name=TOP, zero_memories=needs_zero_memories(simulator))
    build = _build_verilator if simulator == "verilator" else _build_icarus
    built = build(text, waves is not None, progress)
    say(progress, f"simulating with {simulator}")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        log = folder / "log.txt"
        results = folder / "results.xml"
        runner = get_runner(simulator)
        # The runner's own messages go into the simulation's log.  Its exit is ignored: the results
        # file tells which tests failed.
        with (
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            suppress(SystemExit, RuntimeError),
        ):
            runner.test(
                test_module=test_module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                build_dir=built,
                test_dir=folder,
                results_xml=str(results),
                log_file=str(log),
                waves=waves is not None,
                plusargs=[f"+dumpfile_path={folder / 'dump.fst'}"],
                extra_env={_PARAMETERS: json.dumps(parameters or {})},
            )
        output = log.read_text(errors="replace") if log.exists() else ""
        _check(test_module, results, output)
        if waves is not None:
            shutil.move(folder / "dump.fst", waves)
    return output


def _check(module: str, results: Path, output: str) -> None:
    if not results.exists():
        raise BenchError(f"{module}: the simulation ended without results\n{output}")
    cases = list(ElementTree.parse(results).iter("testcase"))
    failed = [
        case.get("name")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    if failed:
        raise BenchError(f"{module}: {', '.join(map(str, failed))} failed\n{output}")
    if not cases:
        raise BenchError(f"{module}: no test ran\n{output}")


def _build_verilator(text: str, waves: bool, progress: Progress | None) -> Path:
    main = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    libraries = Path(cocotb_tools.config.libs_dir)
    key = digest(
        [
            text,
            "verilator",
            str(waves),
            versions(),
            compiler_identity(),
            *FLAGS,
            main.read_bytes(),
            str(libraries),
        ]
    )
    folder = cache_dir() / f"bench-{key}"

    def build(work: Path) -> Path:
        (work / "public.vlt").write_text(_public_ports(text))
        units = translate(
            _TIMESCALE + text,
            work,
            top=TOP,
            prefix="Vtop",
            flags=["--vpi", "public.vlt"],
            waves=waves,
            progress=progress,
        )
        # A bench spends its time in Python, and code for waves compiles slowly.
        level = "-O0" if waves else "-O1"
        objects = compile_units([main, *units], work, level=level, waves=waves, progress=progress)
        objects += runtime(waves=waves, vpi=True, progress=progress)
        target = work / "bench"
        target.mkdir()
        link: list[str | Path] = [
            f"-Wl,-rpath,{libraries}",
            "-L",
            libraries,
            "-lcocotbvpi_verilator",
        ]
        call([compiler(), "-o", target / TOP, *objects, "-pthread", *link])
        return target

    return cached(folder, build)


def _public_ports(text: str) -> str:
    """A Verilator control file that lets the bench see the ports of the top module."""
    match = re.search(rf"^module {TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert match is not None, "the Verilog has no module top"
    ports = [port.strip() for port in match[1].split(",")]
    lines = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in ports]
    return "\n".join(["`verilator_config", *lines, ""])


def _build_icarus(text: str, waves: bool, progress: Progress | None) -> Path:
    program = iverilog()
    key = digest([text, "icarus", str(waves), call([program, "-V"]).splitlines()[0]])
    folder = cache_dir() / f"bench-{key}"

    def build(work: Path) -> Path:
        say(progress, "compiling for Icarus")
        (work / "top.sv").write_text(_TIMESCALE + text + (_ICARUS_WAVES if waves else ""))
        tops = ["-s", TOP, *(["-s", "penstock_waves"] if waves else [])]
        target = work / "bench"
        target.mkdir()
        call([program, "-g2012", "-o", target / "sim.vvp", *tops, work / "top.sv"])
        return target

    return cached(folder, build)


_ICARUS_WAVES = f"""
module penstock_waves;
  string path;
  initial if ($value$plusargs("dumpfile_path=%s", path)) begin
    $dumpfile(path);
    $dumpvars(0, {TOP});
  end
endmodule
"""
