"""Train LeNet-5 on scikit-learn's handwritten digits and write the quantised network that ships.

The data set has 1797 digits of 8x8 pixels; a quarter of them, drawn with a fixed seed and equally
of each class, is held out and used for nothing but the figure at the end.  It takes a minute.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from models import store
from models.graph import Network
from models.lenet import build_lenet5
from models.ops import input_codes, run_float, run_quantised
from models.quantize import quantise
from scripts.screening.torch_net import TorchNet

__all__ = ["Digits", "digits", "main", "right", "train"]

ROOT = Path(__file__).resolve().parent.parent

# Images (n, 32, 32, 1) of uint8, and their classes (n,).
Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]

_SIZE = 32
_BATCH = 32


def _grown(digit: NDArray[Any], *, turn: float = 0.0, box: tuple[float, ...] = (0, 0, 8, 8)) -> Any:
    image = Image.fromarray((digit * 255 / 16).round().astype(np.uint8))
    large = image.resize((_SIZE, _SIZE), Image.Resampling.BICUBIC, box=box)
    return np.asarray(large.rotate(turn, Image.Resampling.BILINEAR))[..., None]


def digits(seed: int = 0) -> tuple[NDArray[Any], NDArray[np.int64], Digits]:
    """Return the digits to train on, (n, 8, 8) from 0 to 16, their classes, and the held-out ones.

    Parameters
    ----------
    seed : int
        Decides which are held out.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, classes = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    first, last, know, hide = train_test_split(
        images, classes, test_size=0.25, random_state=seed, stratify=classes
    )
    return first, know, (np.stack([_grown(digit) for digit in last]), hide)


def _varied(rng: np.random.Generator, digit: NDArray[Any]) -> NDArray[np.uint8]:
    """A digit moved, scaled and turned a little."""
    left, top = rng.uniform(-0.4, 0.4, 2)
    side = rng.uniform(7.4, 8.6)
    padded = np.pad(digit, 1)
    box = (1 + left, 1 + top, min(1 + left + side, 10), min(1 + top + side, 10))
    varied: NDArray[np.uint8] = _grown(padded, turn=float(rng.normal(0, 7)), box=box)
    return varied


def train(
    images: NDArray[Any], classes: NDArray[np.int64], *, rounds: int = 40, seed: int = 0
) -> Network:
    """Return float LeNet-5, trained.

    Parameters
    ----------
    images : ndarray, (n, 8, 8)
        Values from 0 to 16.
    classes : ndarray of int, (n,)
    rounds : int
        Times each digit is seen.
    seed : int
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = TorchNet(build_lenet5())
    steps = rounds * (len(images) // _BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for _ in range(rounds):
        order = rng.permutation(len(images))
        for first in range(0, len(images) - _BATCH + 1, _BATCH):
            chosen = order[first : first + _BATCH]
            batch = np.stack([_varied(rng, images[i]) for i in chosen])
            pixels = torch.from_numpy(batch).permute(0, 3, 1, 2)
            loss = functional.cross_entropy(net(pixels), torch.from_numpy(classes[chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.to_network(source="trained on scikit-learn's digits by scripts/train_lenet.py")


def right(network: Network, held: Digits, *, quantised: bool) -> float:
    """Return the share of digits a network names rightly.

    Parameters
    ----------
    network : Network
    held : images and classes
    quantised : bool
        Whether the network is.
    """
    last = network.layers[-1].name
    count = 0
    for image, known in zip(*held):
        if quantised:
            maps = run_quantised(network, input_codes(network.input, image))
        else:
            maps = run_float(network, image)
        count += int(maps[last].ravel().argmax() == known)
    return count / len(held[1])


def main(arguments: list[str] | None = None) -> int:
    """Train, quantise, print the figures and write the network; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "models" / "trained" / "lenet5-digits.net"
    )
    parser.add_argument("--rounds", type=int, default=40, help="times each digit is seen")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    images, classes, held = digits()
    network = train(images, classes, rounds=options.rounds, seed=options.seed)
    calibration = np.stack([_grown(digit) for digit in images[:200]])
    quantised = quantise(network, calibration)
    store.save(quantised, options.output)
    figures = {
        "trained on": len(images),
        "held out": len(held[1]),
        "float": round(right(network, held, quantised=False), 4),
        "int8": round(right(quantised, held, quantised=True), 4),
        "bytes": options.output.stat().st_size,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
