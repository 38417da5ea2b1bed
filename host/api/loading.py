"""`load` and `quantize`: networks by name or file, quantised on images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.api.quantised_file import QuantisedFile, quantise_file
from penstock.host.inputs.catalog import load_network
from penstock.host.inputs.folder import ImageFolder, image_files
from penstock.host.inputs.preprocess import Picture
from penstock.models.graph.graph import InputSpec, Network

__all__ = ["Images", "load", "pictures", "quantize"]

# A folder, or files and arrays in any mixture.
Images = str | os.PathLike[str] | Iterable[Picture]

# Most images of a folder for calibration, spread evenly over it.
_LIMIT = 200


def _silent(text: str) -> None:
    pass


def pictures(images: Images, *, limit: int | None = None) -> list[Picture]:
    """Return image files and arrays, with a folder replaced by its files.

    Raises
    ------
    ValueError
        If there are none, or the folder does not exist.
    """
    if isinstance(images, str | os.PathLike):
        path = Path(images)
        return list(image_files(path, limit=limit)) if not path.is_file() else [path]
    found = list(images)
    if not found:
        raise ValueError("there are no images")
    if limit is not None and len(found) > limit:
        found = [found[index * len(found) // limit] for index in range(limit)]
    return found


def load(
    source: str | os.PathLike[str],
    *,
    calibrate: Images | None = None,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    order: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | None = None,
    verify: bool = True,
    progress: Callable[[str], None] = _silent,
) -> Network:
    """Return a quantised network, ready to compile.

    Parameters
    ----------
    source : str or path
        A network by name (`penstock.MODELS`), an ONNX file, float or quantised, or a saved network.
    calibrate : folder, or files and arrays, optional
        Images that a float network is quantised on: of a folder at most 200, spread evenly; arrays
        are uint8 (height, width, 3) or (height, width), RGB or grey, of any size.  Default: the
        photographs that ship with penstock.
    weights : path, optional
        Trained float weights for a network by name: ``.npz`` or ``.onnx``.  Without them networks
        by name have random weights, and their answers are meaningless.
    labels : path, optional
        A text file with one class to a line.
    order, mean, std, resize
        Preprocessing of images for an ONNX file, which does not define it: ``"RGB"``, ``"BGR"`` or
        ``"L"``; means and deviations of pixels (0 to 255), one for each channel; pixels of the
        shorter side before the centre is cut out.
    verify : bool
        Whether an ONNX file is run by onnxruntime (without it by onnx's reference evaluator) on a
        few inputs, and every map compared; `Network.check` is the result.
    progress : callable
        Called with a description of each step.

    Raises
    ------
    ImportMismatch
        If the network computes something else than its ONNX file.
    ValueError
        If there is no such network, a file is invalid, or something does not fit; one line that
        names it.
    OSError
        If a file cannot be read.
    """
    preparation: dict[str, Any] = {
        "order": order,
        "mean": None if mean is None else tuple(mean),
        "std": None if std is None else tuple(std),
        "resize": resize,
    }
    return load_network(
        str(source),
        weights_file=None if weights is None else Path(weights),
        labels_file=None if labels is None else Path(labels),
        calibrate=None if calibrate is None else _calibration(calibrate),
        preparation={name: value for name, value in preparation.items() if value is not None},
        verify=verify,
        progress=progress,
    )


def _calibration(images: Images) -> Callable[[InputSpec], Sequence[NDArray[np.uint8]]]:
    found = pictures(images, limit=_LIMIT)
    return lambda spec: ImageFolder(found, spec)


def quantize(
    source: str | os.PathLike[str],
    images: Images,
    *,
    method: str = "mse",
    percentile: float = 99.99,
    layer_methods: dict[str, str] | None = None,
    limit: int = _LIMIT,
    order: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | None = None,
    verify: bool = True,
    progress: Callable[[str], None] = _silent,
) -> QuantisedFile:
    """Quantise a float ONNX file, and measure the quantisation error of each layer.

    Parameters
    ----------
    source : path
        The float ONNX file.
    images : folder, or files and arrays
        Calibration images, as for `load`.
    method, percentile, layer_methods
        Choice of the scale of each map, for all layers and for single ones: see
        `models.quant.calibrate.Calibration`.
    limit : int
        Most images to use.
    order, mean, std, resize, verify, progress
        As for `load`; the file that `save` writes is compared with the network as well.

    Returns
    -------
    QuantisedFile
        Its `network` can be compiled, its `errors` printed; `save` writes an ONNX file.

    Raises
    ------
    ImportMismatch
        If the outside judge finds a difference.
    ValueError
        If the file, an image or an option is invalid.
    MissingPackage
        If onnx is not installed.
    """
    return quantise_file(
        Path(source),
        pictures(images, limit=limit),
        method=method,
        percentile=percentile,
        layer_methods=layer_methods,
        order=order,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
        resize=resize,
        verify=verify,
        progress=progress,
    )
