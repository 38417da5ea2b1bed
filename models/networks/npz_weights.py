"""Real weights for AlexNet or NiN from an ``.npz`` file, which `numpy.savez` makes anywhere.

Accepted names, all float arrays (`weight_shapes` of `models.networks.alexnet` and
`models.networks.nin` have the shapes):

=======================================  ================================================
file made from                           names
=======================================  ================================================
Caffe                                    ``conv1/0`` (weights), ``conv1/1`` (biases), ...,
                                         ``fc8/0``, ``fc8/1``: ``net.params[layer][0 or 1]``;
                                         ``conv1_0``, ``conv1_1`` will do as well, and NiN's
                                         long names ``conv4-1024``, ``cccp7-1024``, ``cccp8-1024``
anything, BVLC or torchvision shapes     ``conv1.weight``, ``conv1.bias``, ..., ``fc8.bias``
torchvision's ``alexnet().state_dict()`` ``features.0.weight``, ..., ``classifier.6.bias``
=======================================  ================================================

A file with ``cccp1.weight`` is NiN's.  BVLC's conv1.weight is (96, 3, 11, 11), torchvision's
(64, 3, 11, 11): that tells the two AlexNets apart.  An optional array ``labels`` holds one string
for each class.  Caffe's biases may have leading axes of length 1, as old files have.

Caffe's weights expect BGR pixels less (104, 117, 123); for weights trained on RGB say
``order="RGB"`` (the means follow), and for other means ``mean=...``.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.graph import Network
from penstock.models.networks import alexnet, nin
from penstock.models.networks.alexnet import BVLC, TORCHVISION, Variant

__all__ = ["load_npz", "read_arrays"]

Arrays = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.float32]]
_Build = Callable[..., Network]

# Positions of the layers with weights in torchvision's two sequences.
_TORCHVISION_NAMES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}

# Names that Caffe's NiN has for some layers.
_CAFFE_NAMES = {"conv4": "conv4-1024", "cccp7": "cccp7-1024", "cccp8": "cccp8-1024"}


def _spellings(name: str) -> tuple[str, ...]:
    """Names under which a file may hold the weight `name`, ``conv1.weight`` for example."""
    layer, _, kind = name.partition(".")
    blob = 0 if kind == "weight" else 1
    names = [name]
    for base in (layer, _CAFFE_NAMES.get(layer)):
        names += [f"{base}/{blob}", f"{base}_{blob}"] if base else []
    if layer in _TORCHVISION_NAMES:
        names.append(f"{_TORCHVISION_NAMES[layer]}.{kind}")
    return tuple(names)


def read_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of an ``.npz`` file by name.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    try:
        # Opened here because NumPy does not close a file that it finds to be damaged.
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("a single array (.npy), not an archive of named ones (.npz)")
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{path}: not a readable .npz file: {text}") from None


def _find(
    path: str | os.PathLike[str], arrays: Arrays, names: Iterable[str]
) -> dict[str, tuple[str, NDArray[Any]]]:
    """The arrays that hold the weights `names`, each with the name it has in the file."""
    wanted = list(names)
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for name in wanted:
        spelling = next((s for s in _spellings(name) if s in arrays), None)
        if spelling is not None:
            found[name] = (spelling, arrays[spelling])
    missing = [name for name in wanted if name not in found]
    if missing:
        held = ", ".join(sorted(arrays)[:6]) or "nothing"
        more = f" and {len(arrays) - 6} more" if len(arrays) > 6 else ""
        raise ValueError(
            f"{path}: no array called {missing[0]} ({len(missing)} of {len(wanted)} missing); "
            f"the file holds {held}{more}"
        )
    return found


def _variant(path: str | os.PathLike[str], spelling: str, first: NDArray[Any]) -> Variant:
    """The AlexNet whose first convolution has these weights."""
    outputs = {v.stages[0].outputs: v for v in (BVLC, TORCHVISION)}
    variant = outputs.get(first.shape[0] if first.ndim else 0)
    if variant is None:
        raise ValueError(
            f"{path}: {spelling} must have shape (96, 3, 11, 11) (BVLC) or (64, 3, 11, 11) "
            f"(torchvision), not {first.shape}"
        )
    return variant


def _collect(path: str | os.PathLike[str], arrays: Arrays) -> tuple[_Build, Weights]:
    """The builder of the network that the arrays belong to, and its weights by our names."""
    build: _Build = nin.build
    if any(spelling in arrays for spelling in _spellings("cccp1.weight")):
        found = _find(path, arrays, nin.weight_shapes())
        shapes = nin.weight_shapes(found["cccp8.bias"][1].size)
    else:
        found = _find(path, arrays, alexnet.weight_shapes(BVLC))
        variant = _variant(path, *found["conv1.weight"])
        build = partial(alexnet.build, variant=variant)
        shapes = alexnet.weight_shapes(variant, found["fc8.bias"][1].size)
    weights: Weights = {}
    for name, shape in shapes.items():
        spelling, array = found[name]
        while array.ndim > len(shape) and array.shape[0] == 1:
            array = array[0]
        if array.shape != shape:
            raise ValueError(f"{path}: {spelling} must have shape {shape}, not {array.shape}")
        if array.dtype.kind != "f":
            raise ValueError(f"{path}: {spelling} must hold floats, not {array.dtype}")
        weights[name] = array.astype(np.float32, copy=False)
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{path}: {spelling} holds values that are not finite")
    return build, weights


def load_npz(
    path: str | os.PathLike[str],
    *,
    order: str | None = None,
    mean: tuple[float, float, float] | None = None,
) -> Network:
    """Return the float network whose weights `path` holds.

    Parameters
    ----------
    path : path of an ``.npz`` file
    order : str, optional
        Channel order the weights were trained on, ``"BGR"`` or ``"RGB"``; torchvision's is RGB,
        the others' BGR.
    mean : tuple of 3 floats, optional
        Channel means in pixel units, in that order.

    Raises
    ------
    ValueError
        If the file cannot be read, or an array is missing or has the wrong shape; one line that
        names the file and the array.
    """
    if order not in (None, "BGR", "RGB"):
        raise ValueError(f"order must be BGR or RGB, not {order!r}")
    arrays = read_arrays(path)
    build, weights = _collect(path, arrays)
    labels = tuple(str(label) for label in arrays["labels"]) if "labels" in arrays else ()
    try:
        network = build(weights, labels=labels, source=str(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    spec = network.input
    if order is not None and order != spec.order:
        spec = replace(spec, order=order, mean=spec.mean[::-1], std=spec.std[::-1])
    if mean is not None:
        spec = replace(spec, mean=tuple(float(value) for value in mean))
    return replace(network, input=spec)
