"""Networks by name or file, quantised and ready to compile.

===========================  ==============================================================
name                         network
===========================  ==============================================================
``alexnet``                  BVLC (Caffe) AlexNet, 227x227
``alexnet-torchvision``      torchvision's AlexNet, 224x224
``nin``                      Network in Network (Caffe's model zoo), 224x224
``googlenet``                BVLC GoogLeNet, 224x224
``resnet18``                 ResNet-18, 224x224
``cifar10-quick``            Caffe's cifar10_quick, 32x32
``lenet5``                   LeNet-5, 32x32, one channel
``tiny``                     39x39, three convolutions, ten classes: for tests
``lenet5-digits`` and so on  trained and shipped: every network in ``models/data/trained``
a file                       a saved network (`models.graph.store`), or ONNX, float or quantised
===========================  ==============================================================

Other networks by name have seeded weights unless a file of trained ones is given: ``.npz``
(`models.networks.npz_weights`) or a float ONNX graph (`models.onnx_io.importer`), which stands for
the whole network.  Float networks are quantised on the shipped photographs; the result is kept
(`host.inputs.cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.inputs.cache import cached, source_key
from penstock.host.inputs.preprocess import load_codes, load_pixels
from penstock.models.data.shipped import PHOTOS, TRAINED
from penstock.models.graph import store
from penstock.models.graph.graph import InputSpec, Network
from penstock.models.networks import alexnet, googlenet, lenet, nin, npz_weights, resnet, tinynet
from penstock.models.networks.seeded import seeded
from penstock.models.quant.quantize import quantise
from penstock.models.spec.cache_folder import digest

__all__ = ["MODELS", "load_network", "photographs", "read_labels", "sample_input"]

Progress = Callable[[str], None]
Pixels = NDArray[np.uint8]

_ALEXNETS = {variant.name: variant for variant in (alexnet.BVLC, alexnet.TORCHVISION)}
_BUILDERS: dict[str, Callable[..., Network]] = {
    googlenet.NAME: googlenet.build,
    resnet.NAME: resnet.build,
    "cifar10-quick": lenet.build_cifar10_quick,
    "lenet5": lenet.build_lenet5,
}
_SHIPPED = tuple(sorted(path.stem for path in TRAINED.glob("*.net")))
MODELS = (*_ALEXNETS, nin.NAME, *_BUILDERS, "tiny", *_SHIPPED)


def photographs() -> list[Path]:
    """The shipped photographs, in order of name."""
    return sorted(PHOTOS.glob("*.jpg"))


def sample_input(network: Network) -> tuple[str, Pixels]:
    """Return an input for measurements, and its name: a photograph, or noise if none fits."""
    spec = network.input
    photograph = photographs()[0]
    try:
        return photograph.name, load_codes(photograph, spec)
    except ValueError:
        return "noise", np.random.default_rng(0).integers(0, 256, spec.shape, np.uint8)


def _picture(spec: InputSpec) -> list[Pixels]:
    """A photograph to compare a network with its file on, if there is one for this input."""
    try:
        return [load_pixels(photographs()[0], spec)]
    except ValueError:
        return []


def _calibration(spec: InputSpec) -> Pixels:
    return np.stack([load_pixels(path, spec) for path in photographs()])


def _seeded(model: str) -> tuple[Network, Pixels]:
    """A float network with seeded weights, and its calibration images."""
    if model == "tiny":
        images = tinynet.tiny_images()
        return tinynet.tiny_net(images), images
    if model == nin.NAME:
        images = _calibration(nin.SPEC)
        return nin.seeded_nin(images), images
    if model in _BUILDERS:
        network = _BUILDERS[model]()
        images = _calibration(network.input)
        return seeded(network, images), images
    variant = _ALEXNETS[model]
    images = _calibration(variant.input)
    return alexnet.seeded_alexnet(images, variant=variant), images


def _trained(model: str, path: Path, verify: bool, progress: Progress) -> tuple[Network, Pixels]:
    """The float network whose weights `path` holds, and the images to calibrate it on."""
    if path.suffix == ".npz" and model in _BUILDERS:
        arrays = npz_weights.read_arrays(path)
        try:
            network = _BUILDERS[model](arrays, source=str(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    elif path.suffix == ".npz":
        network = npz_weights.load_npz(path)
        if network.name != model:
            raise ValueError(f"{path}: holds the weights of {network.name}, not of {model}")
    elif path.suffix == ".onnx":
        network = _onnx(path, verify, progress)
        if not network.is_float:
            raise ValueError(f"{path}: is quantised already; it can be a model of its own")
    else:
        raise ValueError(f"{path}: weights must be an .npz or .onnx file")
    return network, _calibration(network.input)


def _onnx(path: Path, verify: bool, progress: Progress, **preparation: Any) -> Network:
    """The network of an ONNX file, float or quantised."""
    try:
        from penstock.models.onnx_io import importer
    except ImportError:
        raise ValueError(f"{path}: the package onnx is not installed") from None
    comparison = None
    if verify:
        comparison = importer.Comparison(pictures=_picture, progress=progress)
    return importer.load(path, comparison=comparison, **preparation)


def _external_files(path: Path) -> list[Path]:
    """The files that hold an ONNX file's weights."""
    if path.suffix != ".onnx":
        return []
    try:
        from penstock.models.onnx_io.read import external_files
    except ImportError:
        raise ValueError(f"{path}: the package onnx is not installed") from None
    return external_files(path)


def _kept(key: str, make: Callable[[], tuple[Network, Pixels]], progress: Progress) -> Network:
    def quantised() -> Network:
        progress("making the network")
        network, images = make()
        return quantise(network, images, progress=progress)

    return cached("network", key, load=store.load, save=store.save, make=quantised)


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file.

    Raises
    ------
    ValueError
        If it is not text or has no lines.
    OSError
        If it cannot be read.
    """
    try:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    if not labels:
        raise ValueError(f"{path}: holds no labels")
    return labels


def _with_labels(network: Network, path: Path | None) -> Network:
    if path is None:
        return network
    labels = read_labels(path)
    last = network.layers[-1]
    classes = len(getattr(last, "bias", ()))
    if len(labels) != classes:
        raise ValueError(f"{path}: {len(labels)} labels for {classes} classes")
    return replace(network, labels=labels)


def load_network(
    model: str,
    *,
    weights_file: Path | None = None,
    labels_file: Path | None = None,
    calibrate: Callable[[InputSpec], Sequence[Pixels]] | None = None,
    preparation: Mapping[str, Any] | None = None,
    verify: bool = True,
    progress: Progress = lambda text: None,
) -> Network:
    """Return the quantised network called `model`, or in the file `model`.

    Parameters
    ----------
    model : str
        One of `MODELS`, or the path of a saved network or an ONNX file.
    weights_file : Path, optional
        Trained float weights for a network by name.
    labels_file : Path, optional
        A text file with one class to a line.
    calibrate : callable, optional
        Returns the images that a float network is quantised on, given what it expects of them; by
        default the shipped photographs.
    preparation : mapping, optional
        How images become the input of an ONNX file: `order`, `mean`, `std`, `resize`, as for
        `models.onnx_io.importer.load_float`.
    verify : bool
        Whether an ONNX file is compared with what it was read as (`models.onnx_io.self_check`).
    progress
        Called with a description of each step.

    Raises
    ------
    ImportMismatch
        If the network computes something else than its ONNX file says.
    ValueError
        If there is no such model, a file is invalid, or calibration or preparation does not apply;
        the message names it.
    OSError
        If a file cannot be read.
    """
    path = Path(model)
    is_name = model in MODELS
    if not is_name and not path.exists() and not path.suffix and len(path.parts) == 1:
        raise ValueError(f"model must be {', '.join(MODELS)} or a file, not {model!r}")
    if weights_file is not None and (model in _SHIPPED or not is_name):
        what = model if is_name else f"{path}: a network in a file"
        raise ValueError(f"{what} has its own weights, {weights_file} is too many")
    if preparation and (is_name or path.suffix != ".onnx"):
        raise ValueError(f"{model} says itself how its input is prepared: only ONNX files do not")
    if is_name and model not in _SHIPPED and calibrate is None:
        return _with_labels(_by_name(model, weights_file, verify, progress), labels_file)
    progress("reading the network")
    if model in _SHIPPED:
        network = store.load(TRAINED / f"{model}.net")
    elif is_name:
        if weights_file is None:
            network = _seeded(model)[0]
        else:
            network = _trained(model, weights_file, verify, progress)[0]
    else:
        is_onnx = path.suffix == ".onnx"
        if is_onnx:
            network = _onnx(path, verify, progress, **(preparation or {}))
        else:
            network = store.load(path)
    if network.is_float:
        images = (calibrate or _calibration)(network.input)
        network = quantise(network, images, progress=progress)
    elif calibrate is not None:
        raise ValueError(f"{model} is quantised already: there is nothing to calibrate")
    return _with_labels(network, labels_file)


def _by_name(model: str, weights_file: Path | None, verify: bool, progress: Progress) -> Network:
    """A network with seeded or given weights, from the cache if it is there."""
    shipped = [path.read_bytes() for path in photographs()]
    if weights_file is None:
        key = digest([source_key(), model, *shipped])
        return _kept(key, lambda: _seeded(model), progress)
    # The name is part of the key: it is in the network's `source`.
    name = str(weights_file)
    given = [path.read_bytes() for path in (weights_file, *_external_files(weights_file))]
    compared = "compared" if verify else "not compared"
    key = digest([source_key(), model, name, *given, *shipped, compared])
    return _kept(key, lambda: _trained(model, weights_file, verify, progress), progress)
