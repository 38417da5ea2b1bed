"""The ways to run a stage that evaluation compares: they map pictures to scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from penstock.host.apps.open_device import open_device
from penstock.host.apps.two_stage import DeviceScores, Scores, golden_scores
from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import input_codes, normalise, scores
from penstock.models.graph.graph import Network, QFc
from penstock.models.onnx_export.float_export import export_float
from penstock.models.onnx_export.operator_export import export
from penstock.models.spec.arch import get_arch
from scripts.screening.pool import CHUNK, Chunk

__all__ = ["Engine", "device_engine", "float_engine", "int8_engine", "kept_scores", "pictures"]

Pixels = NDArray[np.uint8]

# From pictures (height, width, 3) to the probabilities of a code.
Engine = Callable[[Iterable[Pixels]], Iterator[float]]


def _session(model: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Without it CPUs that lack VNNI saturate sums of products in 16 bits.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def float_engine(network: Network) -> Engine:
    """Return a function that runs a float network in onnxruntime."""
    session = _session(export_float(network))

    def run(pictures: Iterable[Pixels]) -> Iterator[float]:
        for pixels in pictures:
            values = normalise(network.input, pixels).transpose(2, 0, 1)[None]
            logits = np.ravel(session.run(None, {"input": values})[0]).astype(np.float64)
            yield float(1 / (1 + np.exp(np.clip(logits[0] - logits[1], -700, 700))))

    return run


def int8_engine(network: Network) -> Engine:
    """Return a function that runs a quantised network in onnxruntime."""
    session = _session(export(network))
    last = network.layers[-1]
    assert isinstance(last, QFc)

    def run(pictures: Iterable[Pixels]) -> Iterator[float]:
        for pixels in pictures:
            codes = input_codes(network.input, pixels).transpose(2, 0, 1)[None]
            logits = session.run([last.name], {"input": codes})[0].reshape(1, -1)
            yield float(scores(last, logits)[0, -1])

    return run


def device_engine(network: Network, device: str, arch: str, stack: ExitStack) -> tuple[Engine, str]:
    """Return a function that runs a quantised network on a device, and where it runs.

    A network the compiler refuses runs in the golden model.

    Parameters
    ----------
    network : Network
    device, arch : str
    stack : ExitStack
        Closes the device.
    """
    target = get_arch(arch)
    score: Scores
    try:
        program = compile_network(network, target)
    except CompileError:
        score, where = golden_scores(network), "golden"
    else:
        opened = stack.enter_context(open_device(device, target))
        session = Session(network, program, opened, top=len(network.labels))
        score, where = DeviceScores(stack.enter_context(session)), device

    def run(pictures: Iterable[Pixels]) -> Iterator[float]:
        return score(input_codes(network.input, pixels) for pixels in pictures)

    return run, where


def pictures(pool: list[Chunk], network: Network) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of a pool as inputs of a network."""
    size = network.input.shape[:2]
    for chunk in pool:
        for entry in chunk:
            image = Image.fromarray(entry["pixels"])
            yield np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _digest(way: str, network: Network, pool: list[Chunk]) -> str:
    """Hash of everything that scores depend on."""
    digest = hashlib.sha256(way.encode())
    for layer in network.layers:
        for array in (getattr(layer, "weight", None), getattr(layer, "bias", None)):
            if isinstance(array, np.ndarray):
                digest.update(np.ascontiguousarray(array).tobytes())
    for chunk in pool:
        digest.update(chunk["pixels"][:1].tobytes())
        digest.update(str(len(chunk)).encode())
    return digest.hexdigest()[:16]


def kept_scores(
    folder: Path, way: str, network: Network, pool: list[Chunk], make: Callable[[], Engine]
) -> NDArray[np.float64]:
    """Return the score of each picture of a pool, from its file or computed now.

    Parameters
    ----------
    folder : Path
        For such files.
    way : str
        How the network is run.
    network : Network
    pool : list of Chunk
    make : callable
        Gives what runs the network.
    """
    path = folder / f"scores-{_digest(way, network, pool)}.npy"
    if not path.exists():
        values = []
        total = sum(len(chunk) for chunk in pool)
        for value in make()(pictures(pool, network)):
            values.append(value)
            if len(values) % CHUNK == 0 or len(values) == total:
                print(f"{network.name}, {way}: {len(values)} of {total}", flush=True)
        np.save(path, np.array(values))
    scores: NDArray[np.float64] = np.load(path)
    return scores
