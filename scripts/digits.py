"""Scikit-learn's handwritten digits for LeNet-5, and the accuracy of a network on them.

The data set has 1797 digits of 8x8 pixels.  A quarter of them, equally of each class, is held out
and used only for the figures printed here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.runtime.session import Session
from penstock.models.data.shipped import TRAINED
from penstock.models.golden.ops import input_codes, run_float, run_quantised, scores
from penstock.models.graph import store
from penstock.models.graph.graph import Network, QFc
from penstock.models.spec.arch import get_arch

__all__ = ["SHIPPED", "Digits", "digits", "grown", "main", "right"]

SHIPPED = TRAINED / "lenet5-digits.net"

_SIZE = 32

# Images (n, 8, 8) from 0 to 16, and their classes (n,).
Digits = tuple[NDArray[Any], NDArray[np.int64]]
Box = tuple[float, float, float, float]


def grown(digit: NDArray[Any], *, turn: float = 0.0, box: Box | None = None) -> NDArray[np.uint8]:
    """Return a digit as an input of LeNet-5, (32, 32, 1), rotated and cropped for training.

    Parameters
    ----------
    digit : ndarray, (height, width)
        From 0 to 16.
    turn : float
        Degrees.
    box : (float, float, float, float), optional
        The part to show: left, top, right, bottom.
    """
    image = Image.fromarray((digit * 255 / 16).round().astype(np.uint8))
    large = image.resize((_SIZE, _SIZE), Image.Resampling.BICUBIC, box=box)
    return np.asarray(large.rotate(turn, Image.Resampling.BILINEAR))[..., None]


def digits(seed: int = 0) -> tuple[Digits, Digits]:
    """Return the digits to train on and the held-out ones.

    Parameters
    ----------
    seed : int
        Seed of the split.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, classes = load_digits(return_X_y=True)
    first, last, known, hidden = train_test_split(
        images.reshape(-1, 8, 8), classes, test_size=0.25, random_state=seed, stratify=classes
    )
    return (first, known), (last, hidden)


def _named(network: Network, held: Digits, device: str, arch: str) -> Iterator[int]:
    """The class a network gives each digit."""
    final = network.layers[-1]
    last = final.name
    images = [grown(digit) for digit in held[0]]
    if device == "float":
        for image in images:
            yield int(run_float(network, image)[last].argmax())
        return
    codes = [input_codes(network.input, image) for image in images]
    if device == "golden":
        assert isinstance(final, QFc)
        for code in codes:
            values = run_quantised(network, code)[last].reshape(1, -1)
            yield int(scores(final, values)[0].argmax())
        return
    target = get_arch(arch)
    program = compile_network(network, target)
    with open_device(device, target) as opened, Session(network, program, opened) as session:
        for result in session.run(codes):
            yield result.top[0].index


def right(network: Network, held: Digits, *, device: str = "golden", arch: str = "lab") -> float:
    """Return the share of digits that a network classifies correctly.

    Parameters
    ----------
    network : Network
    held : images and classes
    device : str
        ``float`` for a float network; ``golden``, or a device's name, for a quantised one.
    arch : str
        Of the device.
    """
    return float(np.mean([a == b for a, b in zip(_named(network, held, device, arch), held[1])]))


def main(arguments: list[str] | None = None) -> int:
    """Print the accuracy of the shipped network on the held-out digits."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="golden")
    parser.add_argument("--arch", default="lab")
    options = parser.parse_args(arguments)
    _, held = digits()
    share = right(store.load(SHIPPED), held, device=options.device, arch=options.arch)
    print(f"{len(held[1])} held-out digits on {options.device}: {share:.2%} right")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
