"""From trained weights to the files that ship: quantise, choose thresholds on validation pictures.

Writes ``screen-coarse.net``, ``screen-fine.net`` and ``screen.json``, and beside the training
states the float networks, as saved networks and as ONNX files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from models import store
from models.graph import Network
from models.onnx_float import export_float
from models.quantize import quantise
from scripts.screening.augment import whole
from scripts.screening.engines import Engine, int8_engine
from scripts.screening.nets import STAGES
from scripts.screening.pool import Chunk, chunks
from scripts.screening.train import load_network

__all__ = ["CALIBRATION", "coarse_threshold", "fine_threshold", "main", "pictures", "run"]

ROOT = Path(__file__).resolve().parent.parent.parent

# Training pictures that quantisation looks at.
CALIBRATION = 96

# Of the validation codes, how many the coarse stage may let pass; what it lets pass is lost.
_LOST = 0.004

# Of the validation pictures that are confirmed, how many may show no code.
_WRONG = 0.005

Scores = NDArray[np.float64]
Labels = NDArray[np.uint8]


def pictures(pool: list[Chunk], network: Network) -> Iterator[NDArray[np.uint8]]:
    """Give the pictures of a pool as a network takes them."""
    for chunk in pool:
        for entry in chunk:
            yield whole(entry["pixels"], network.input.shape[0])


def run(engine: Engine, pool: list[Chunk], network: Network, what: str) -> Scores:
    """Return the score of each picture of a pool, saying how far it is."""
    values = []
    total = sum(len(chunk) for chunk in pool)
    for value in engine(pictures(pool, network)):
        values.append(value)
        if len(values) % 128 == 0:
            print(f"{what}: {len(values)} of {total}", flush=True)
    return np.array(values)


def _between(low: float, high: float) -> float:
    """A round threshold above one score and not above the next."""
    middle = (low + high) / 2
    for digits in range(1, 9):
        rounded = round(middle, digits)
        if low < rounded <= high:
            return rounded
    return high


def coarse_threshold(scores: Scores, labels: Labels) -> float:
    """Return the highest threshold that flags enough codes."""
    codes = np.sort(scores[labels == 1])
    first = int(_LOST * len(codes))
    below = codes[first - 1] if first else 0.0
    return _between(max(below, codes[first] / 2), codes[first])


def fine_threshold(scores: Scores, labels: Labels) -> float:
    """Return the lowest threshold at which few of the confirmed pictures show no code.

    Parameters
    ----------
    scores : ndarray of float, (n,)
        Of the flagged pictures.
    labels : ndarray, (n,)
    """
    order = np.argsort(scores)[::-1]
    wrong = np.cumsum(labels[order] == 0)
    good = np.flatnonzero(wrong <= _WRONG * np.arange(1, len(order) + 1))
    if not len(good):
        raise ValueError("the fine stage cannot tell codes from anything else")
    last = int(good[-1])
    high = float(scores[order[last]])
    low = float(scores[order[last + 1]]) if last + 1 < len(order) else high / 2
    return _between(low, high)


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--states", type=Path, required=True, help="folder of training states")
    parser.add_argument("--pool", type=Path, required=True, help="folder of pictures")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "models" / "trained")
    options = parser.parse_args()
    calibration = next(chunks(options.pool, "train"))[:CALIBRATION]
    held = list(chunks(options.pool, "validation"))
    labels = np.concatenate([chunk["label"] for chunk in held])
    scores, networks = {}, {}
    for name in STAGES:
        network = load_network(name, options.states)
        store.save(network, options.states / f"{name}-float.net")
        onnx.save(export_float(network), options.states / f"{name}-float.onnx")
        quantised = networks[name] = quantise(network, list(pictures([calibration], network)))
        scores[name] = run(int8_engine(quantised), held, quantised, f"validation, {name}")
    first = coarse_threshold(scores["coarse"], labels)
    flagged = scores["coarse"] >= first
    second = fine_threshold(scores["fine"][flagged], labels[flagged])
    for name, network in networks.items():
        store.save(network, options.output / f"screen-{name}.net")
    entries = {
        "coarse": {"network": "screen-coarse.net", "threshold": first},
        "fine": {"network": "screen-fine.net", "threshold": second},
    }
    (options.output / "screen.json").write_text(json.dumps(entries, indent=1) + "\n")
    confirmed = flagged & (scores["fine"] >= second)
    print(
        f"{len(labels)} validation pictures; coarse from {first}: "
        f"{np.mean(flagged[labels == 1]):.2%} of codes, {np.mean(flagged[labels == 0]):.2%} of "
        f"others; fine from {second}: {np.mean(confirmed[labels == 1]):.2%} of codes, "
        f"{np.sum(confirmed & (labels == 0))} of others"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
