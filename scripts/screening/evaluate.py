"""Evaluate the shipped screening model on the test pictures: figures, by kind, and a plot.

Float weights, onnxruntime in int8 and a device classify the same pictures, with the shipped
thresholds.  Scores are saved beside the pictures, so a stopped evaluation can be resumed.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.host.apps.two_stage import Model, Stage, load_model
from penstock.models.graph import store
from scripts.screening.engines import Engine, device_engine, float_engine, int8_engine, kept_scores
from scripts.screening.page import page
from scripts.screening.plot import plot
from scripts.screening.pool import Chunk, chunks

__all__ = ["Answers", "figures", "kinds", "main"]

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """The scores of both stages from one way of running them.

    Parameters
    ----------
    name : str
    coarse, fine : ndarray of float, (n,)
    """

    name: str
    coarse: Scores
    fine: Scores


def figures(
    answers: Answers, labels: NDArray[np.uint8], thresholds: tuple[float, float]
) -> dict[str, float]:
    """Return recall and pass rate of the coarse stage, and precision, recall and accuracy of both.

    Parameters
    ----------
    answers : Answers
    labels : ndarray, (n,)
        Labels of as many pictures as there are scores.
    thresholds : (float, float)
        Coarse and fine.
    """
    codes = labels == 1
    flagged = answers.coarse >= thresholds[0]
    confirmed = flagged & (answers.fine >= thresholds[1])
    return {
        "pictures": len(labels),
        "coarse recall": float(flagged[codes].mean()),
        "passed on": float(flagged[~codes].mean()),
        "precision": float(codes[confirmed].mean()) if confirmed.any() else 0.0,
        "recall": float(confirmed[codes].mean()),
        "right": float((confirmed == codes).mean()),
    }


def kinds(
    answers: Answers, kind: NDArray[np.bytes_], thresholds: tuple[float, float]
) -> dict[str, tuple[int, int, int]]:
    """Return for each kind of picture the number of all, flagged and confirmed ones."""
    flagged = answers.coarse >= thresholds[0]
    confirmed = flagged & (answers.fine >= thresholds[1])
    rows = {}
    for name in sorted(set(kind.tolist())):
        of_kind = kind == name
        rows[name.decode()] = (
            int(of_kind.sum()),
            int(flagged[of_kind].sum()),
            int(confirmed[of_kind].sum()),
        )
    return rows


def _given(engine: Engine) -> Engine:
    return engine


def _stages(model: Model) -> dict[str, Stage]:
    return {"coarse": model.coarse, "fine": model.fine}


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--pool", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--states", type=Path, required=True, help="holds the float networks")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--device", default="functional")
    parser.add_argument("--arch", default="lab")
    parser.add_argument("--images", type=int, help="the device gets so many, from the first on")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw the curves here")
    parser.add_argument("--page", type=Path, help="write the page of figures here")
    options = parser.parse_args()
    pool = list(chunks(options.pool, options.split))
    labels = np.concatenate([chunk["label"] for chunk in pool])
    kind = np.concatenate([chunk["kind"] for chunk in pool])
    model = load_model(options.model)
    thresholds = (model.coarse.threshold, model.fine.threshold)
    floats: dict[str, Scores] = {}
    int8s: dict[str, Scores] = {}
    devices: dict[str, Scores] = {}
    where: dict[str, str] = {}
    few = _first(pool, options.images)
    with ExitStack() as stack:
        for name, stage in _stages(model).items():
            network = store.load(options.states / f"{name}-float.net")
            quantised = stage.network
            floats[name] = kept_scores(
                options.pool, "float", network, pool, partial(float_engine, network)
            )
            int8s[name] = kept_scores(
                options.pool, "int8", quantised, pool, partial(int8_engine, quantised)
            )
            engine, where[name] = device_engine(quantised, options.device, options.arch, stack)
            devices[name] = kept_scores(
                options.pool, where[name], quantised, few, partial(_given, engine)
            )
    ways = [Answers("float", **floats), Answers("onnxruntime int8", **int8s)]
    count = len(devices["coarse"])
    ways.append(Answers(options.device, **devices))
    results = {way.name: figures(way, labels[: len(way.coarse)], thresholds) for way in ways}
    for name, row in results.items():
        shown = ", ".join(f"{key} {value:.2%}" for key, value in row.items() if key != "pictures")
        print(f"{name}: {row['pictures']} pictures, {shown}")
    same = [Answers(way.name, way.coarse[:count], way.fine[:count]) for way in ways[:2]]
    for way in same if count < len(labels) else []:
        row = figures(way, labels[:count], thresholds)
        shown = ", ".join(f"{key} {value:.2%}" for key, value in row.items() if key != "pictures")
        print(f"{way.name}, the same {count} pictures: {shown}")
    exact = {name: int((int8s[name][:count] == devices[name]).sum()) for name in devices}
    print(f"scores of onnxruntime int8 and of the device that are equal: {exact} of {count}")
    table = kinds(ways[1], kind, thresholds)
    for name, (number, flagged, confirmed) in table.items():
        print(f"{name:14} {number:5} pictures {flagged:5} flagged {confirmed:5} confirmed")
    if options.json:
        content = {
            "thresholds": thresholds,
            "ways": results,
            "kinds": table,
            "equal scores": exact,
            "where": where,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if options.plot:
        plot(ways, labels, thresholds, options.plot)
    if options.page:
        stages = _stages(model)
        text = page(
            results,
            table,
            thresholds,
            (stages["coarse"].network.source, stages["fine"].network.source),
            options.plot.name if options.plot else "",
        )
        options.page.write_text(text)
    return 0


def _first(pool: list[Chunk], count: int | None) -> list[Chunk]:
    """The first pictures of a pool."""
    if count is None:
        return pool
    taken: list[Chunk] = []
    for chunk in pool:
        if count > 0:
            taken.append(chunk[:count])
            count -= len(taken[-1])
    return taken


if __name__ == "__main__":
    raise SystemExit(main())
