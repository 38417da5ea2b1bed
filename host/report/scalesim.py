"""Runs SCALE-Sim, a third-party cycle model of systolic arrays, on the shapes of our networks.

It runs in a virtual environment (it needs an older NumPy), which is made on first use.  A shape
takes a minute or more, so results are cached; equal shapes, such as the groups of a layer, are
simulated once.

SCALE-Sim 3 has no groups, no padding and one stride for both directions: a layer of g groups is
simulated as g layers with 1/g of the channels and filters, and the input includes the padding.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from penstock.models.graph.graph import Network, QConv, infer_shapes
from penstock.models.spec.arch import Arch

__all__ = ["VERSION", "ScaleSim", "ScaleSimError", "Shape", "config", "shapes", "topology"]

VERSION = "3.0.0"
_PACKAGES = (f"scalesim=={VERSION}", "numpy<2")

# Seconds to install it, and to simulate one shape.
_INSTALL_LIMIT = 900
_RUN_LIMIT = 3600
_JOBS = 2

_DRIVER = """
import sys
from scalesim.scale_sim import scalesim
config, topology, out = sys.argv[1:]
model = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology,
                 layout=topology, input_type_gemm=False)
model.run_scale(top_path=out)
"""


class ScaleSimError(RuntimeError):
    """SCALE-Sim cannot be installed, or fails; one line."""


@dataclass(frozen=True)
class Shape:
    """A convolution in SCALE-Sim's terms.

    Parameters
    ----------
    height, width : int
        Of the input, padding included.
    kernel_height, kernel_width : int
    channels, filters : int
        Of one group.
    stride : int
    """

    height: int
    width: int
    kernel_height: int
    kernel_width: int
    channels: int
    filters: int
    stride: int


def shapes(network: Network) -> dict[str, tuple[Shape, int]]:
    """Return each convolution's shape and its groups, by name.

    Raises
    ------
    ScaleSimError
        If a layer has two strides.
    """
    sizes = infer_shapes(network)
    found = {}
    for layer in network.layers:
        if not isinstance(layer, QConv):
            continue
        height, width, channels = sizes[layer.inputs[0]]
        geometry = layer.geometry
        top, left, bottom, right = geometry.pad
        if geometry.stride[0] != geometry.stride[1]:
            raise ScaleSimError(f"SCALE-Sim has one stride, layer {layer.name} has two")
        shape = Shape(
            height=height + top + bottom,
            width=width + left + right,
            kernel_height=geometry.kernel[0],
            kernel_width=geometry.kernel[1],
            channels=channels // geometry.groups,
            filters=layer.weight.shape[0] // geometry.groups,
            stride=geometry.stride[0],
        )
        found[layer.name] = shape, geometry.groups
    return found


def topology(named: Sequence[tuple[str, Shape]]) -> str:
    """Return a topology file, CSV with a comma at the end of each line."""
    head = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
    lines = [head + "Num Filter, Strides,"]
    for name, shape in named:
        lines.append(", ".join([name, *(str(value) for value in asdict(shape).values())]) + ",")
    return "\n".join(lines) + "\n"


def config(arch: Arch) -> str:
    """Return a configuration: a weight-stationary array of the arch's size.

    The bandwidth is `CALC`, as much as the array needs: the cycles are those of a perfect memory.
    """
    sections: dict[str, dict[str, object]] = {
        "general": {"run_name": "penstock"},
        "architecture_presets": {
            "ArrayHeight": arch.rows,
            "ArrayWidth": arch.cols,
            "IfmapSramSzkB": arch.act_words * arch.rows // 1024,
            "FilterSramSzkB": arch.act_words * arch.rows // 1024,
            "OfmapSramSzkB": arch.act_words * arch.rows // 1024,
            "IfmapOffset": 0,
            "FilterOffset": 10_000_000,
            "OfmapOffset": 20_000_000,
            "Dataflow": "ws",
            "Bandwidth": arch.bus_bytes,
            "ReadRequestBuffer": 128,
            "WriteRequestBuffer": 128,
        },
        "layout": {
            f"{map_}{name}": value
            for map_ in ("Ifmap", "Filter")
            for name, value in (
                ("CustomLayout", False),
                ("SRAMBankBandwidth", 10),
                ("SRAMBankNum", 10),
                ("SRAMBankPort", 2),
            )
        },
        "sparsity": {
            "SparsitySupport": "false",
            "SparseRep": "ellpack_block",
            "OptimizedMapping": "false",
            "BlockSize": 8,
            "RandomNumberGeneratorSeed": 40,
        },
        "run_presets": {"InterfaceBandwidth": "CALC", "UseRamulatorTrace": False},
    }
    return "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for section, values in sections.items()
    )


class ScaleSim:
    """SCALE-Sim in its own virtual environment.

    Parameters
    ----------
    folder : Path
        Folder of the environment and of cached results; it may be deleted at any time.
    say : callable
        Called with what happens now.

    Raises
    ------
    ScaleSimError
        If it cannot be installed.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._python = folder / "env" / "bin" / "python"
        self._install()

    def _install(self) -> None:
        stamp = self._folder / "env" / f"scalesim-{VERSION}"
        if stamp.exists():
            return
        self._say(f"installing SCALE-Sim {VERSION} in {self._folder / 'env'} (a minute or two)")
        shutil.rmtree(self._folder / "env", ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        venv = [sys.executable, "-m", "venv", str(self._folder / "env")]
        self._call("python -m venv", venv, _INSTALL_LIMIT)
        pip = [str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._call("pip install", [*pip, *_PACKAGES], _INSTALL_LIMIT)
        stamp.touch()  # last, so that an interrupted installation starts again

    @staticmethod
    def _call(name: str, command: list[str], limit: float) -> None:
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ScaleSimError(f"SCALE-Sim: {name} took more than {limit:g} s") from None
        if result.returncode:
            last = (result.stdout.strip().splitlines() or ["no output"])[-1]
            raise ScaleSimError(
                f"SCALE-Sim: {name} failed with exit status {result.returncode}: {last}"
            )

    def cycles(self, wanted: Sequence[Shape], arch: Arch) -> dict[Shape, int]:
        """Return the cycles of each shape on a weight-stationary array of the arch's size.

        Raises
        ------
        ScaleSimError
            If it fails or takes too long.
        """
        distinct = list(dict.fromkeys(wanted))
        done = 0

        def one(shape: Shape) -> int:
            nonlocal done
            result = self._one(shape, arch)
            done += 1
            self._say(f"SCALE-Sim: {done} of {len(distinct)} shapes")
            return result

        self._say(f"SCALE-Sim: 0 of {len(distinct)} shapes, a minute or more each")
        with ThreadPoolExecutor(_JOBS) as pool:
            return dict(zip(distinct, pool.map(one, distinct)))

    def _one(self, shape: Shape, arch: Arch) -> int:
        numbers = "-".join(str(value) for value in asdict(shape).values())
        kept = self._folder / f"{VERSION}-{arch.rows}x{arch.cols}-{numbers}.json"
        if kept.exists():
            return int(json.loads(kept.read_text())["cycles"])
        with tempfile.TemporaryDirectory(prefix="run-", dir=self._folder) as name:
            folder = Path(name)
            (folder / "array.cfg").write_text(config(arch))
            (folder / "layer.csv").write_text(topology([("layer", shape)]))
            files = [str(folder / file) for file in ("array.cfg", "layer.csv", "out")]
            self._call("its run", [str(self._python), "-c", _DRIVER, *files], _RUN_LIMIT)
            cycles = _total_cycles(folder / "out" / "penstock" / "COMPUTE_REPORT.csv")
            (folder / "kept").write_text(json.dumps({"cycles": cycles}) + "\n")
            os.replace(folder / "kept", kept)
        return cycles


def _total_cycles(report: Path) -> int:
    """Cycles of the one layer of a report."""
    try:
        with report.open(newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
        return int(float(rows[0]["Total Cycles"]))
    except (OSError, LookupError, ValueError) as error:
        raise ScaleSimError(f"SCALE-Sim wrote no cycles: {error}") from None
