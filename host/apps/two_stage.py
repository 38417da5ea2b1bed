"""Two-stage screening: a coarse network flags images, a fine one decides on those it flagged.

A screening model is a JSON file that names two saved networks beside it and their thresholds::

    {"coarse": {"network": "coarse.net", "threshold": 0.1},
     "fine": {"network": "fine.net", "threshold": 0.7}}

The last class of either network is the class to detect; its probability is the score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import DeviceError, RunLog
from penstock.host.inputs.preprocess import load_codes
from penstock.host.runtime.session import Session
from penstock.models.data.shipped import TRAINED
from penstock.models.golden.ops import run_quantised, scores
from penstock.models.graph import store
from penstock.models.graph.graph import Network, QFc, QGlobalAveragePool

__all__ = [
    "CONFIRMED",
    "FLAGGED",
    "PASS",
    "SHIPPED",
    "UNREADABLE",
    "DeviceScores",
    "Model",
    "Screen",
    "Stage",
    "Verdict",
    "golden_scores",
    "load_model",
    "with_thresholds",
]

Codes = NDArray[np.uint8]
Scores = Callable[[Iterable[Codes]], Iterator[float]]

SHIPPED = TRAINED / "screen.json"

PASS, FLAGGED, CONFIRMED, UNREADABLE = "pass", "flagged", "confirmed", "unreadable"


@dataclass(frozen=True)
class Stage:
    """One network of a screening model.

    Parameters
    ----------
    network : Network
        Quantised.
    threshold : float
        Least score that is positive.
    """

    network: Network
    threshold: float


@dataclass(frozen=True)
class Model:
    """A screening model.

    Parameters
    ----------
    coarse, fine : Stage
    key : str
        Hash of the networks, which identifies the model.
    """

    coarse: Stage
    fine: Stage
    key: str


def _stage(path: Path, entries: object, name: str) -> tuple[Stage, bytes]:
    entry = entries.get(name) if isinstance(entries, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("network"), str):
        raise ValueError(f"{path}: names no network for the {name} stage")
    threshold = entry.get("threshold")
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ValueError(
            f"{path}: the {name} stage's threshold must be from 0 to 1, not {threshold!r}"
        )
    file = path.parent / entry["network"]
    network = store.load(file)
    if len(network.labels) < 2:
        raise ValueError(f"{file}: a network that screens has two classes or more")
    return Stage(network, float(threshold)), hashlib.sha256(file.read_bytes()).digest()


def load_model(path: Path = SHIPPED) -> Model:
    """Return the screening model in a file.

    Raises
    ------
    ValueError
        If the file or one it names cannot be read or is invalid.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise ValueError(f"{path}: not a screening model") from None
    coarse, first = _stage(path, entries, "coarse")
    fine, second = _stage(path, entries, "fine")
    return Model(coarse, fine, hashlib.sha256(first + second).hexdigest()[:16])


def with_thresholds(model: Model, *, coarse: float | None, fine: float | None) -> Model:
    """Return a model with other thresholds; None keeps its own.

    Raises
    ------
    ValueError
        If one is not from 0 to 1.
    """
    for name, value in (("coarse", coarse), ("fine", fine)):
        if value is None:
            continue
        if not 0 <= value <= 1:
            raise ValueError(f"{name} threshold must be from 0 to 1, not {value!r}")
        model = replace(model, **{name: replace(getattr(model, name), threshold=float(value))})
    return model


def golden_scores(network: Network) -> Scores:
    """Return a scorer that runs the golden model, in NumPy and without a device.

    Raises
    ------
    ValueError
        If the network has no classifier.
    """
    last = network.layers[-1]
    if not isinstance(last, QFc | QGlobalAveragePool):
        raise ValueError(f"{network.name}: its last layer, {last.name}, gives no scores")

    def score(images: Iterable[Codes]) -> Iterator[float]:
        for codes in images:
            values = run_quantised(network, codes)[last.name].reshape(1, -1)
            yield float(scores(last, values)[0, -1])

    return score


class DeviceScores:
    """Scores images with a session, whose `top` must cover all classes.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    log : RunLog or None
        Of the last image.
    compared : int
        Feature maps found equal to the golden model's, in sessions that check.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.log: RunLog | None = None
        self.compared = 0

    def __call__(self, images: Iterable[Codes]) -> Iterator[float]:
        """Yield the score of each image.

        Raises
        ------
        DeviceError
            If a run fails, or its session checks and a feature map is not the golden one.
        """
        network = self.session.network
        wanted = len(network.labels) - 1
        for result in self.session.run(images):
            if result.mismatches:
                raise DeviceError(f"{network.name}: {result.mismatches[0]}")
            self.log = result.log
            self.compared += result.compared
            yield next(answer.score for answer in result.top if answer.index == wanted)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one image.

    Parameters
    ----------
    path : Path
    verdict : str
        `PASS`, `FLAGGED` by the coarse stage alone, `CONFIRMED` by the fine one, or `UNREADABLE`.
    coarse, fine : float or None
        Scores; None if the stage did not run.
    error : str
        Why it could not be read.
    """

    path: Path
    verdict: str
    coarse: float | None = None
    fine: float | None = None
    error: str = ""

    def line(self) -> str:
        """The verdict as a line of JSON, without the line's end."""
        values: dict[str, object] = {"path": str(self.path), "verdict": self.verdict}
        values["coarse"], values["fine"] = self.coarse, self.fine
        if self.verdict == UNREADABLE:
            values["error"] = self.error
        return json.dumps(values)


class Screen:
    """Runs both stages.

    Parameters
    ----------
    model : Model
    coarse, fine : Scores
        Scorers of the stages.
    """

    def __init__(self, model: Model, coarse: Scores, fine: Scores) -> None:
        self.model = model
        self._coarse = coarse
        self._fine = fine

    def run(self, paths: Iterable[Path]) -> Iterator[Verdict]:
        """Yield the verdict on each file, in order; unreadable files get one too.

        Raises
        ------
        DeviceError
            If a device fails.
        """
        for path in paths:
            yield self._one(path)

    def _one(self, path: Path) -> Verdict:
        try:
            codes = load_codes(path, self.model.coarse.network.input)
        except ValueError as error:
            return Verdict(path, UNREADABLE, error=str(error))
        coarse = next(self._coarse([codes]))
        if coarse < self.model.coarse.threshold:
            return Verdict(path, PASS, coarse)
        try:
            codes = load_codes(path, self.model.fine.network.input)
        except ValueError as error:
            # The file was removed in the meantime.
            return Verdict(path, UNREADABLE, error=str(error))
        fine = next(self._fine([codes]))
        return Verdict(
            path, CONFIRMED if fine >= self.model.fine.threshold else FLAGGED, coarse, fine
        )
