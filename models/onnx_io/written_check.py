"""A quantised ONNX file compared with its network and with the float file, before it counts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from penstock.models.golden.ops import normalise
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.graph.import_check import ImportCheck, ImportMismatch
from penstock.models.onnx_io.judge import Judge, JudgeError
from penstock.models.onnx_io.read import Graph, read_graph
from penstock.models.onnx_io.self_check import Imported, check_import

__all__ = ["check_written"]


def check_written(
    model: Any,
    network: Network,
    spec: InputSpec,
    float_file: Path,
    pictures: Sequence[NDArray[np.uint8]] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> ImportCheck:
    """Compare what `models.onnx_export.deploy_export.deploy` made with the network, map by map.

    Parameters
    ----------
    model : onnx.ModelProto
    network : Network
        Quantised, the one that `model` was made of.
    spec : InputSpec
        How the file's input is made from pixels.
    float_file : Path
        What the model stands for: inputs and outputs must have the same names, types and shapes.
    pictures : sequence of uint8 arrays, of the network's input shape
        Inputs beside random ones.
    progress : callable
        Called with what happens now.

    Raises
    ------
    ImportMismatch
        If the judge cannot run the file, or finds something else than the network computes.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        path = Path(folder) / f"{network.name}.onnx"
        onnx.save(model, path)
        graph = read_graph(path)
        tensors = {name: name for name in (INPUT, *(layer.name for layer in network.layers))}
        imported = Imported(graph=graph, network=network, spec=spec, tensors=tensors, values={})
        check = check_import(imported, pictures, progress)
        _same_ends(graph, read_graph(float_file), spec)
    return check


def _ends(graph: Graph, spec: InputSpec) -> dict[str, tuple[Any, ...]]:
    """Name, type and shape of input and output, of one image."""
    grey = np.full(spec.shape, 128, np.uint8)
    fed = np.ascontiguousarray(normalise(spec, grey).transpose(2, 0, 1)[None])
    try:
        (name, made), *_ = Judge(graph).run({graph.input: fed}).items()
    except JudgeError as error:
        raise ImportMismatch(f"{graph.path}: the outside judge cannot run it: {error}") from None
    return {
        "input": (graph.input, fed.dtype.name, fed.shape),
        "output": (name, made.dtype.name, made.shape),
    }


def _same_ends(made: Graph, given: Graph, spec: InputSpec) -> None:
    ours, theirs = _ends(made, spec), _ends(given, spec)
    for end, want in theirs.items():
        if ours[end] != want:
            raise ImportMismatch(
                f"{given.path}: its {end} is {_shown(want)}, that of the quantised file "
                f"{_shown(ours[end])}"
            )


def _shown(end: tuple[Any, ...]) -> str:
    name, kind, shape = end
    return f"{name}, {kind}, {'x'.join(map(str, shape))}"
