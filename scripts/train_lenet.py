"""Train LeNet-5 on handwritten digits (`scripts.digits`) and write the network that ships.

It takes a minute.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from penstock.models.graph import store
from penstock.models.graph.graph import Network
from penstock.models.networks.lenet import build_lenet5
from penstock.models.quant.quantize import quantise
from scripts.digits import SHIPPED, Digits, digits, grown, right
from scripts.screening.torch_net import TorchNet

__all__ = ["main", "train"]

_BATCH = 32

# Digits that quantisation looks at.
_CALIBRATION = 200


def _varied(rng: np.random.Generator, digit: NDArray[Any]) -> NDArray[np.uint8]:
    """A digit moved, scaled and turned a little."""
    left, top = rng.uniform(-0.4, 0.4, 2)
    side = rng.uniform(7.4, 8.6)
    box = (1 + left, 1 + top, min(1 + left + side, 10), min(1 + top + side, 10))
    return grown(np.pad(digit, 1), turn=float(rng.normal(0, 7)), box=box)


def train(known: Digits, *, rounds: int = 40, seed: int = 0) -> Network:
    """Return float LeNet-5, trained.

    Parameters
    ----------
    known : images and classes
    rounds : int
        Times each digit is seen.
    seed : int
    """
    images, classes = known
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


def main(arguments: list[str] | None = None) -> int:
    """Train, quantise, print the figures and write the network; return the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    parser.add_argument("--rounds", type=int, default=40, help="times each digit is seen")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    known, held = digits()
    network = train(known, rounds=options.rounds, seed=options.seed)
    quantised = quantise(network, [grown(digit) for digit in known[0][:_CALIBRATION]])
    store.save(quantised, options.output)
    figures = {
        "trained on": len(known[1]),
        "held out": len(held[1]),
        "float": round(right(network, held, device="float"), 4),
        "int8": round(right(quantised, held), 4),
        "bytes": options.output.stat().st_size,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
