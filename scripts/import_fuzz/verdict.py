"""What comes of one graph: the importer's answer, judged by onnxruntime.

The judge here is another one than the importer's own check: onnxruntime as everyone runs it, its
optimisations included, and only the file's output.

==============  ==================================================================================
`equal`         accepted, and the output is the judge's
`refused`       a ValueError of one line that says why
`not counted`   the judge cannot run the file, or what it computes is no number; or the graph is
                bent (`bent.py`), and was read, or refused in words
`mismatch`      a finding: the importer's own check found a difference
`wrong`         a finding: accepted, and the output is not the judge's
`words`         a finding: refused in Python's or NumPy's words
`crash`         a finding: any other exception
==============  ==================================================================================

Of a float graph, outputs may differ by 1e-3 of the largest value of any of its maps.  Of a
quantised one, each layer may be a step off what onnxruntime makes of the same input (the importer's
own check sees to that), and the layers behind carry this on: 95 % of the codes of an output may be
off by 2 steps for each layer, none by more than 12 for each.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from penstock.models.golden.ops import input_codes, normalise, run_float, run_quantised
from penstock.models.graph.graph import QFc
from penstock.models.graph.import_check import ImportMismatch
from penstock.models.quant.quantize import quantise
from scripts.import_fuzz.draft import Case

__all__ = ["FINDINGS", "Verdict", "judged", "scratch"]

Array = NDArray[Any]

FINDINGS = ("mismatch", "wrong", "words", "crash")

# What Python, NumPy and protobuf say, and nobody should have to read.
_WORDS = re.compile(
    r"malformed|index out of range|list index|out of bounds|cannot reshape|could not be broadcast"
    r"|object has no|NoneType|invalid literal|cannot be interpreted|must be a real|unhashable"
    r"|not iterable|not subscriptable|can only convert|unpack|not supported between|ufunc|dtype\("
    r"|setting an array|zero-size|cannot convert|KeyError|shapes \(.*\) and"
    r"|np\.float|np\.int|array\("
)


@dataclass(frozen=True)
class Verdict:
    """What came of a graph.

    Parameters
    ----------
    kind : str
        See the table of the module.
    text : str
        The reason or the difference; empty if all is well.
    operators : tuple of str
        The graph's.
    """

    kind: str
    text: str = ""
    operators: tuple[str, ...] = ()

    @property
    def finding(self) -> bool:
        return self.kind in FINDINGS

    @property
    def reason(self) -> str:
        """The text without names and numbers: the same for the same reason."""
        text = re.sub(r"\b[A-Za-z]+_\d+(_\d+)?\b|\b[tc]\d+(_\d+)?\b", "*", self.text)
        return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?(x\d+)*", "#", text)[:160]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the files of graphs, in memory where there is such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="penstock-fuzz-", dir=memory if memory.is_dir() else None
    ) as folder:
        yield Path(folder)


def _session(content: bytes) -> Any:
    """A session with all optimisations, or without where these fail."""
    levels = onnxruntime.GraphOptimizationLevel
    try:
        return _optimised(content, levels.ORT_ENABLE_ALL)
    except Exception:  # onnxruntime's exceptions have no common public base
        return _optimised(content, levels.ORT_DISABLE_ALL)


def _optimised(content: bytes, level: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Without it, processors without VNNI add pairs of products in 16 bits, saturating.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _pixels(case: Case) -> Array:
    dims = case.model.graph.input[0].type.tensor_type.shape.dim
    channels, height, width = (dim.dim_value for dim in dims[1:])
    generator = np.random.default_rng(case.seed + 1)
    low, high = ((0, 256), (96, 160))[case.seed % 2]
    return generator.integers(low, high, (height, width, channels)).astype(np.uint8)


def _fed(case: Case, pixels: Array) -> Array:
    kind = case.model.graph.input[0].type.tensor_type.elem_type
    outward = pixels.transpose(2, 0, 1)[None]
    if kind == onnx.TensorProto.UINT8:
        return np.ascontiguousarray(outward)
    if kind == onnx.TensorProto.INT8:
        return (outward.astype(np.int16) - 128).astype(np.int8)
    mean = np.asarray(case.mean, np.float32).reshape(1, -1, 1, 1)
    std = np.asarray(case.std, np.float32).reshape(1, -1, 1, 1)
    return np.ascontiguousarray((outward.astype(np.float32) - mean) / std)


def saved(case: Case, folder: Path) -> Path:
    """Write a case's file and return its path."""
    path = folder / "graph.onnx"
    if not case.external:
        path.write_bytes(case.model.SerializeToString())
        return path
    model = type(case.model)()
    model.CopyFrom(case.model)
    (folder / "graph.data").unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location="graph.data", size_threshold=0)
    return path


def judged(case: Case, folder: Path, importer: Any, written: Any = None) -> Verdict:
    """Import a graph and say what came of it.

    Parameters
    ----------
    case : Case
    folder : Path
        Where its file is written.
    importer : module
        `models.onnx_io.importer`.
    written : pair of modules, optional
        `models.onnx_export.deploy_export` and `models.onnx_io.written_check`, for cases with
        `deploy`.
    """
    operators = tuple(sorted({node.op_type for node in case.model.graph.node}))
    if case.bent:
        return Verdict(*_read(case, saved(case, folder), importer), operators)
    pixels = _pixels(case)
    try:
        name = case.model.graph.input[0].name
        session = _session(case.model.SerializeToString())
        want = np.asarray(session.run(None, {name: _fed(case, pixels)})[0])
        runs = want.size > 0 and not np.isnan(want.astype(np.float64)).any()
        why = "" if runs else "its output is empty or no number"
    except Exception as error:  # onnxruntime's exceptions have no common public base
        want, runs, why = np.zeros(0), False, " ".join(str(error).split())
    kind, text = _answer(case, saved(case, folder), importer, written, pixels, want, runs)
    if kind == "not counted":
        text = f"judge: {why}"
    return Verdict(kind, text, operators)


def _read(case: Case, path: Path, importer: Any) -> tuple[str, str]:
    """What the importer says of a file that is not judged."""
    try:
        with np.errstate(all="ignore"):
            importer.load(path, order="RGB", mean=case.mean, std=case.std, comparison=None)
    except ValueError as error:
        if _in_python(error):
            return "words", _line(path, error)
        return "not counted", _line(path, error)
    except Exception as error:
        return "crash", f"{type(error).__name__}: {_line(path, error)}"
    return "not counted", ""


def _in_python(error: ValueError) -> bool:
    text = str(error)
    return "\n" in text or bool(_WORDS.search(text)) or type(error) is not ValueError


def _answer(
    case: Case, path: Path, importer: Any, written: Any, pixels: Array, want: Array, runs: bool
) -> tuple[str, str]:
    try:
        network = importer.load(path, order="RGB", mean=case.mean, std=case.std)
        if not runs:
            return "not counted", ""
        far = _difference(network, pixels, want, bool(network.scales))
        if far:
            return "wrong", far
        if case.deploy and written is not None and not network.scales:
            return _written(case, path, importer, written)
    except ImportMismatch as error:
        # What only some of the judge's optimisations can run is not counted either.
        if not runs or ("judge cannot run it" in str(error)):
            return "not counted", ""
        return "mismatch", _line(path, error)
    except ValueError as error:
        if _in_python(error):
            return "words", _line(path, error)
        return ("refused" if runs else "not counted"), _line(path, error)
    except Exception as error:
        return "crash", f"{type(error).__name__}: {_line(path, error)}"
    return "equal", ""


def _line(path: Path, error: Exception) -> str:
    return str(error).replace(f"{path}: ", "").replace("\n", " | ")


def _ends_in_softmax(model: Any) -> str:
    made = {name: node for node in model.graph.node for name in node.output}
    node = made.get(model.graph.output[0].name)
    while node is not None and node.op_type == "Identity":
        node = made.get(node.input[0])
    return node.op_type if node is not None and node.op_type.endswith("Softmax") else ""


def _difference(network: Any, pixels: Array, want: Array, quantised: bool) -> str:
    """Return how the output differs; nothing if it does not."""
    last = network.layers[-1]
    maps: dict[str, Array]
    if quantised:
        maps = run_quantised(network, input_codes(network.input, pixels))
    else:
        maps = run_float(network, pixels)
    made = maps[last.name]
    got = made.transpose(2, 0, 1).reshape(-1).astype(np.float64)
    if got.size != want.size:
        return f"{got.size} values, {want.size} of the judge"
    given = want.reshape(-1).astype(np.float64)
    softmax = _ends_in_softmax(onnx.load(network.source, load_external_data=False))
    if quantised:
        return _steps_off(network, last, got, given, want.dtype, softmax)
    if softmax:
        return _likely_off(got.reshape(want.shape[1], -1), given, softmax, 1e-3)
    values = [normalise(network.input, pixels), *maps.values()]
    span = max(float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in values)
    with np.errstate(invalid="ignore"):
        far = np.where(got == given, 0, np.abs(got - given))
    far = np.where(np.isnan(far), np.inf, far)
    if far.max() > 1e-3 * span:
        place = int(np.argmax(far))
        return f"value {place} of {far.size}: {given[place]:g} of the judge, {got[place]:g} here"
    return ""


def _likely_off(logits: Array, given: Array, kind: str, allowed: float) -> str:
    """Compare probabilities over the channels."""
    shifted = logits - logits.max(axis=0)
    likely = shifted - np.log(np.exp(shifted).sum(axis=0))
    far = np.abs(
        np.exp(likely) - (given if kind == "Softmax" else np.exp(given)).reshape(likely.shape)
    )
    return f"probabilities differ by {far.max():.3g}" if far.max() > allowed else ""


def _steps_off(network: Any, last: Any, got: Array, given: Array, kind: Any, softmax: str) -> str:
    logits = isinstance(last, QFc) and not last.relu
    step = np.asarray(last.out_scale if logits else network.scales[last.name], np.float64)
    zero = 0 if logits else network.zeros.get(last.name, 0)
    depth = sum(1 for layer in network.layers)
    if softmax:
        return _likely_off(((got - zero) * step).reshape(got.size, -1), given, softmax, 0.5)
    if kind in (np.dtype(np.uint8), np.dtype(np.int8)):
        given = given + (128 if kind == np.dtype(np.int8) else 0)
        far = np.abs(got - given)
    elif logits:
        # A logit's unit is that of the products: as a part of what its layer can make.
        size = np.abs(last.weight.astype(np.int64)).sum(axis=1) * 255 * step
        far = np.abs(got * step - given) / np.maximum(size / 255, step)
    else:
        far = np.abs((got - zero) * step - given) / step
    rare = np.quantile(far, 0.95) if far.size >= 20 else 0
    if not (rare <= 2.01 * depth and far.max() <= 12.01 * depth):
        place = int(np.argmax(far))
        return (
            f"off by {far.max():.3g} steps of {depth} layers in value {place} of {far.size}, by "
            f"{rare:.3g} in 1 of 20"
        )
    return ""


def _written(case: Case, path: Path, importer: Any, written: Any) -> tuple[str, str]:
    """Quantise and write the network, and compare what is written."""
    export, check = written
    network, ends = importer.load_float_ends(
        path, order="RGB", mean=case.mean, std=case.std, comparison=None
    )
    generator = np.random.default_rng(case.seed)
    images = [generator.integers(0, 256, network.input.shape).astype(np.uint8) for _ in range(2)]
    try:
        quantised = quantise(network, images)
        made = export.deploy(quantised, ends)
    except ValueError as error:
        if _in_python(error):
            return "words", f"quantised: {_line(path, error)}"
        return "equal", ""
    try:
        check.check_written(made, quantised, ends.spec, path, images[:1])
    except ImportMismatch as error:
        return "mismatch", f"quantised: {error}"
    return "equal", ""
