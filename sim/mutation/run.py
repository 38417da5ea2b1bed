"""Runs the tests against one mutant after another, each in a temporary copy of the tree.

A mutant is run against two groups of tests, until one fails or does not end:

1. the tests of the core's blocks that reach its module, nearest first in the graph of imports,
2. `SYSTEM`: the whole core in the fast simulator, which is built for each mutant that gets here.

Every test has a limit of CPU time (`sim.mutation.time_limit`); a test that exceeds it has caught
the mutant.  Two kinds of mutants do not count: those that Amaranth rejects, for example because a
signal would be driven twice; and those that no test catches and that `sim.mutation.equivalence`
proves equivalent.  At the end, all tests that caught a mutant are run once without one: they must
pass.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from penstock.sim.formal.checking.engine import EngineError
from penstock.sim.library.package_links import link_package
from penstock.sim.mutation.equivalence import Hardware, equal, read
from penstock.sim.mutation.hardware import CORES
from penstock.sim.mutation.mutant import Mutant
from penstock.sim.mutation.time_limit import CURRENT

__all__ = ["ROOTS", "SYSTEM", "MutationError", "Record", "Result", "core_modules", "run"]

# The core is all that these import: the accelerator, and the array for FPGAs with DSPs.
ROOTS = ("penstock.hw.core.accel", "penstock.hw.array.packed")
SYSTEM = (
    "tests/system/test_cycles.py",
    "tests/host/devices/test_rtl.py",
    "tests/system/test_fuzz.py",
)
# Excluded, as they build a second library.
_LEFT_OUT = ("tests/host/devices/test_rtl.py::test_waves",)

# Sources that the results depend on, and further files that the tests need.
_SOURCES = ("hw", "models", "host", "sim", "tests")
_COPIED = (*_SOURCES, "scripts", "docs", "pyproject.toml", "Makefile")
_NETWORKS = 10  # drawn by test_fuzz.py, all on the same array

# Wall-clock limit for a group of tests, in seconds.
_GROUP_TIMEOUT = 1800.0

# Amaranth's messages for a signal that is driven twice, or that drives itself.
_REFUSALS = ("DriverConflict", "already driven from d.", "CombinationalCycle")

# Slow tests that cover little of the core: run never, and run last.
_NEVER = ("tests/sim/netlist/test_netlist_boards.py", "tests/host/timing/test_latencies.py")
_LATE = ("tests/sim/netlist/test_netlist.py", "tests/sim/library/test_roll.py")
# Modules that tests of the core's blocks may import besides the core.
_TOOLS = {"penstock.hw.flow.programs", "penstock.hw.flow.xilinx.xc7_carry"}


class MutationError(RuntimeError):
    """The tests cannot judge mutants; the message says why."""


class Result(enum.Enum):
    """Outcome of a mutant."""

    CAUGHT = "caught"
    HUNG = "hung"  # caught as well: a test did not end
    REFUSED = "refused"
    EQUAL = "equal"  # proved equivalent
    SURVIVED = "survived"

    @property
    def counts(self) -> bool:
        """Whether the mutant counts, as tests can catch it."""
        return self not in (Result.REFUSED, Result.EQUAL)


class Record:
    """The results so far, one a line in a file.

    Parameters
    ----------
    path : Path
        Created with its folder if it does not exist; mutants in it are not run again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, tuple[Result, str]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # the last line of a run that was killed
        self.results[entry["mutant"]] = (Result(entry["result"]), entry["by"])

    def add(self, mutant: Mutant, result: Result, by: str) -> None:
        """Record the outcome of a mutant, and the test that caught it."""
        line = json.dumps({"mutant": mutant.key, "result": result.value, "by": by})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._take(line)


def module_path(name: str) -> str:
    return name.removeprefix("penstock.").replace(".", "/") + ".py"


def module_name(path: str) -> str:
    return "penstock." + path.removesuffix(".py").replace("/", ".")


def _imports(path: Path) -> set[str]:
    """The modules of `hw` that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("penstock.hw.")
        ):
            names.add(node.module)
    return names


def _distances(root: Path, start: Iterable[str]) -> dict[str, int]:
    """Distance of each module from those in `start`, in imports."""
    found = dict.fromkeys(start, 0)
    todo = list(found)
    for name in todo:
        for other in sorted(_imports(root / module_path(name))):
            if other not in found:
                found[other] = found[name] + 1
                todo.append(other)
    return found


def core_modules(root: Path) -> list[str]:
    """Paths of the modules of the core, in alphabetical order."""
    return sorted(module_path(name) for name in _distances(root, ROOTS))


def digest(root: Path) -> str:
    """Hash of all sources that the results depend on."""
    result = hashlib.sha256()
    for name in _SOURCES:
        top = root / name
        for path in sorted(top.rglob("*.*")):
            if path.is_file() and "__pycache__" not in path.parts:
                result.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return result.hexdigest()[:16]


@functools.cache
def _unit_tests(root: Path) -> dict[str, set[str]]:
    """The test files of the core's blocks, and the modules each one imports."""
    core = set(_distances(root, ROOTS))
    tests = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        names = _imports(path)
        name = path.relative_to(root).as_posix()
        if names & core and names <= core | _TOOLS and name not in _NEVER:
            tests[name] = names
    return tests


def groups(root: Path, path: str) -> list[list[str]]:
    """The groups of test files for a module, in the order they are run."""
    module = module_name(path)
    own = f"/test_{module.rpartition('.')[2]}.py"
    away = {}
    for test, names in _unit_tests(root).items():
        distance = _distances(root, names).get(module)
        if distance is not None:
            away[test] = (test in _LATE, not test.endswith(own), distance, test)
    nearest = sorted(away, key=lambda test: away[test])
    whole = list(SYSTEM) if module in _distances(root, ROOTS[:1]) else []
    return [group for group in (nearest, whole) if group]


class _Copy:
    """A copy of the tree, with a cache folder of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.tree = folder / "tree"
        self.cache = folder / "cache"
        self.temp = folder / "tmp"
        for path in (self.tree, self.cache, self.temp):
            path.mkdir(parents=True)
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "screening")
        for name in _COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, self.tree / name, ignore=ignore)
            elif (root / name).exists():
                shutil.copy2(root / name, self.tree / name)
        package = link_package(self.tree, folder / "package")
        self.path = f"{package}{os.pathsep}{self.tree}"
        self._current = self.temp / "current"
        self._cores: dict[str, Hardware] = {}
        env = {
            **os.environ,
            "PYTHONPATH": self.path,
            "PENSTOCK_CACHE": str(self.cache),
            "PENSTOCK_FUZZ": str(_NETWORKS),
            "OPENBLAS_NUM_THREADS": "1",
            "TMPDIR": str(self.temp),
            CURRENT: str(self._current),
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "penstock.sim.mutation.server"],
            cwd=self.tree,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        status, text = self.test([*_unit_tests(root), *SYSTEM], "--collect-only")
        if status:
            raise MutationError(f"the tests cannot be collected:\n{text[-3000:]}")

    def close(self) -> None:
        """End the process that runs the tests."""
        self._server.communicate()

    def test(self, names: Sequence[str], *options: str) -> tuple[int, str]:
        """Run tests up to the first failure; return pytest's status and what it printed.

        The status is negative if a test did not end; then the text is the test's name.
        """
        output = self.temp / "output"
        arguments = ["-q", "-x", "-p", "no:cacheprovider", "-p", "penstock.sim.mutation.time_limit"]
        arguments += ["--no-header", "--tb=short", *options, *names]
        arguments += [f"--deselect={name}" for name in _LEFT_OUT]
        request = {
            "arguments": arguments,
            "output": str(output),
            "seconds": _GROUP_TIMEOUT,
            # Bytecode compiled without a mutant can be kept.
            "keep": "--collect-only" in options,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise MutationError("the process that runs the tests has ended")
        status = json.loads(answer)["status"]
        if status < 0:
            return status, self._current.read_text() if self._current.exists() else ""
        return status, output.read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """Write the fault into the copy while the context is open."""
        path = self.tree / mutant.site.path
        source = path.read_bytes()
        times = path.stat()
        path.write_text(mutant.apply(source.decode()), encoding="utf-8")
        # Bytecode is matched to its source by time stamp: stale bytecode must not hide a fault.
        os.utime(path, (times.st_atime, times.st_mtime + 3600))
        try:
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, (times.st_atime, times.st_mtime))

    def clean(self) -> None:
        """Empty the cache and the folder for temporary files."""
        for path in [*self.cache.iterdir(), *self.temp.iterdir()]:
            # Verilator's runtime does not depend on the core.
            if path.name.startswith("runtime-"):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _core(self, name: str) -> Hardware:
        """The hardware of a core of the unchanged tree.

        Raises
        ------
        EngineError
            If there is none.
        """
        path = self.temp / "core.il"
        try:
            done = subprocess.run(
                [sys.executable, "-B", "-m", "penstock.sim.mutation.hardware", path, name],
                cwd=self.tree,
                env={**os.environ, "PYTHONPATH": self.path},
                capture_output=True,
                text=True,
                timeout=_GROUP_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"no core {name} in {_GROUP_TIMEOUT:.0f} s") from None
        if done.returncode:
            raise EngineError(f"no core {name}: {done.stderr[-1000:]}")
        return read(path.read_text(encoding="utf-8"))

    def equal(self, mutant: Mutant, cores: Sequence[str]) -> bool:
        """Whether a mutant that is in at least one core is proved equivalent in all of them.

        Raises
        ------
        MutationError
            If the core cannot be generated without the mutant.
        """
        changed = False
        for name in cores:
            if name not in self._cores:
                try:
                    self._cores[name] = self._core(name)
                except EngineError as error:
                    raise MutationError(f"without a mutant: {error}") from None
            try:
                with self.planted(mutant):
                    core = self._core(name)
                changed |= core != self._cores[name]
                if not equal(self._cores[name], core):
                    return False
            except EngineError:
                return False
        return changed

    def run(self, root: Path, mutant: Mutant, cores: Sequence[str]) -> tuple[Result, str]:
        """Return the outcome of a mutant, and the test that caught it, if any."""
        for names in groups(root, mutant.site.path):
            with self.planted(mutant):
                status, output = self.test(names)
            self.clean()
            if status < 0:
                return Result.HUNG, output
            if any(words in output for words in _REFUSALS):
                return Result.REFUSED, ""
            if status:
                return Result.CAUGHT, failed(output)
        return Result.EQUAL if self.equal(mutant, cores) else Result.SURVIVED, ""

    def check(self, names: Sequence[str]) -> None:
        """Run tests without a mutant.

        Raises
        ------
        MutationError
            If one fails.
        """
        status, output = self.test(names)
        if status:
            raise MutationError(f"tests fail without a mutant:\n{output[-3000:]}")


def failed(output: str) -> str:
    """The test that failed first, from pytest's output; empty if it names none."""
    # Lines of a simulator's log may begin with these words as well, so match the name.
    found = re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - |$)", output, re.MULTILINE)
    return found[1] if found else ""


def run(
    root: Path,
    mutants: Sequence[Mutant],
    count: int,
    record: Record,
    *,
    jobs: int = 1,
    cores: Sequence[str] = tuple(CORES),
    report: Callable[[Mutant, Result, str], None],
) -> list[tuple[Mutant, Result]]:
    """Run `count` mutants, in order; for those that do not count (`Result`), more are run.

    Parameters
    ----------
    root : Path
        The tree; nothing in it changes.
    record : Record
        Mutants that it holds already are not run again.
    jobs : int
        Copies of the tree in which mutants are run at the same time.
    cores : sequence of str
        Names of `sim.mutation.hardware`, for the proofs of equivalence.
    report : callable
        Called after each mutant.

    Returns
    -------
    list of (mutant, result)
        Those that do not count included.

    Raises
    ------
    MutationError
        If the tests fail without a mutant, or there are not enough mutants.
    """
    done: list[tuple[Mutant, Result]] = []
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-mutants-"))
        idle: SimpleQueue[_Copy] = SimpleQueue()
        for job in range(jobs):
            idle.put(stack.enter_context(contextlib.closing(_Copy(root, Path(name) / str(job)))))

        def one(mutant: Mutant) -> tuple[Mutant, Result]:
            if mutant.key not in record.results:
                copy = idle.get()
                try:
                    result, by = copy.run(root, mutant, cores)
                finally:
                    idle.put(copy)
                record.add(mutant, result, by)
            result, by = record.results[mutant.key]
            report(mutant, result, by)
            return mutant, result

        given = iter(mutants)
        with ThreadPoolExecutor(jobs) as pool:
            while True:
                counted = sum(result.counts for _, result in done)
                batch = [mutant for _, mutant in zip(range(count - counted), given)]
                if counted < count and not batch:
                    raise MutationError(f"there are only {counted} mutants, not {count}")
                if not batch:
                    break
                done += pool.map(one, batch)
        by = {record.results[mutant.key][1] for mutant, _ in done}
        idle.get().check(sorted(name for name in by if name))
    return done
