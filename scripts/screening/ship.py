"""From trained weights to the files that ship: quantise, choose thresholds on validation pictures.

Writes ``screen-coarse.net``, ``screen-fine.net`` and ``screen.json``, and beside the training
states the float networks, as saved networks and as ONNX files.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from penstock.models.data.shipped import TRAINED
from penstock.models.graph import store
from penstock.models.onnx_export.float_export import export_float
from penstock.models.quant.quantize import quantise
from scripts.screening.engines import int8_engine, kept_scores, pictures
from scripts.screening.nets import STAGES
from scripts.screening.pool import chunks
from scripts.screening.thresholds import coarse_threshold, fine_threshold
from scripts.screening.train import load_network

__all__ = ["CALIBRATION", "main"]

# Training pictures that quantisation looks at.
CALIBRATION = 96


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--states", type=Path, required=True, help="folder of training states")
    parser.add_argument("--pool", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--stage", choices=STAGES, action="append", help="prepare this one only")
    parser.add_argument("-o", "--output", type=Path, default=TRAINED)
    options = parser.parse_args()
    calibration = next(chunks(options.pool, "train"))[:CALIBRATION]
    held = list(chunks(options.pool, "validation"))
    labels = np.concatenate([chunk["label"] for chunk in held])
    scores, networks = {}, {}
    for name in options.stage or STAGES:
        network = load_network(name, options.states)
        store.save(network, options.states / f"{name}-float.net")
        onnx.save(export_float(network), options.states / f"{name}-float.onnx")
        quantised = networks[name] = quantise(network, list(pictures([calibration], network)))
        store.save(quantised, options.states / f"{name}.net")
        scores[name] = kept_scores(
            options.pool, "int8", quantised, held, partial(int8_engine, quantised)
        )
    if len(scores) < len(STAGES):
        return 0
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
