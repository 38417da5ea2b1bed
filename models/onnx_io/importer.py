"""Float ONNX files as networks.

Conv, Gemm, MatMul, Add, Sum, BatchNormalization, Relu, Clip (as ReLU), LRN, MaxPool, AveragePool,
GlobalAveragePool, ReduceMean (over the map), Concat (of channels), Pad, Flatten, Reshape and
Squeeze (to a vector), Dropout, Identity, Softmax (at the end), arithmetic on the input, and
whatever computes shapes; opset 7 to 21, constants as initialisers, Constant nodes or external data.
Everything that is not supported is listed before any work is done.

Layers get the names the literature uses: ``conv1``, ``norm1``, ``pool1``, ... counted by the layers
with weights, so that AlexNet ends in ``fc6``, ``fc7``, ``fc8``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.models.data.labels import class_labels
from penstock.models.graph.graph import (
    INPUT,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Network,
    QFc,
    infer_shapes,
)
from penstock.models.graph.import_check import UNVERIFIED
from penstock.models.onnx_export.deploy_export import METADATA, Ends
from penstock.models.onnx_io.float_nodes import FLOAT_NODES
from penstock.models.onnx_io.quantised_nodes import QUANTISED_NODES, QUANTISED_ONLY
from penstock.models.onnx_io.quantised_traversal import QuantisedTraversal
from penstock.models.onnx_io.read import Graph, read_graph
from penstock.models.onnx_io.self_check import Imported, check_import
from penstock.models.onnx_io.traversal import Traversal

__all__ = ["Comparison", "load", "load_float", "load_float_ends", "load_quantised"]

# Usual preprocessing of image networks: Caffe's, and torchvision's for graphs that PyTorch wrote.
_CAFFE = {"order": "BGR", "mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0)}
_TORCH = {"order": "RGB", "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How an imported network is compared with its file (`models.onnx_io.self_check`).

    Parameters
    ----------
    pictures : callable, optional
        Returns pixels to compare on, beside random ones, given what the network expects.
    progress : callable
        Called with what happens now.
    """

    pictures: Callable[[InputSpec], Sequence[NDArray[np.uint8]]] = lambda spec: ()
    progress: Callable[[str], None] = lambda text: None


def _class_labels(network: Network) -> tuple[str, ...]:
    """Names of the classes, if the graph ends in a classifier."""
    last = network.layers[-1]
    if isinstance(last, Fc | QFc | GlobalAveragePool):
        return class_labels(infer_shapes(network)[last.name][2])
    return ()


def _usual(graph: Graph) -> dict[str, Any]:
    """Default preprocessing of the input."""
    if METADATA in graph.metadata:
        try:
            found = json.loads(graph.metadata[METADATA])
            return {
                "order": str(found["order"]),
                "mean": tuple(float(value) for value in found["mean"]),
                "std": tuple(float(value) for value in found["std"]),
                "resize": int(found["resize"]),
            }
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{graph.path}: its metadata {METADATA} is damaged") from None
    channels, height, width = graph.shape
    side = min(height, width)
    resize = {"resize": 256 if side == 227 else round(side * 8 / 7)}
    if channels != 3:
        return {"order": "L", "mean": (0.0,) * channels, "std": (255.0,) * channels, **resize}
    return {**(_TORCH if graph.producer == "pytorch" else _CAFFE), **resize}


def _preparation(
    graph: Graph,
    order: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    resize: int | None,
) -> InputSpec:
    """Preprocessing of the input tensor."""
    channels, height, width = graph.shape
    usual = _usual(graph)
    means, stds = mean or usual["mean"], std or usual["std"]
    if len(means) != channels or len(stds) != channels or not min(stds) > 0:
        raise ValueError(
            f"{graph.path}: an input of {channels} channels needs as many means and positive "
            f"standard deviations, not {means} and {stds}"
        )
    return InputSpec(
        shape=(height, width, channels),
        resize=resize or usual["resize"],
        order=order or usual["order"],
        mean=tuple(means),
        std=tuple(stds),
    )


def _prepared(spec: InputSpec, traversal: Traversal) -> InputSpec:
    """`spec` with the arithmetic at the graph's beginning: ``gain * (p - mean) / std + offset``."""
    means, stds = np.array(spec.mean), np.array(spec.std)
    means, stds = means - traversal.offset * stds / traversal.gain, stds / traversal.gain
    # Deviations of float32 from what is meant: 1 and 0 stay what they are.
    means, stds = np.round(means, 4), np.array([float(f"{value:.6g}") for value in stds])
    return replace(spec, mean=tuple((means + 0.0).tolist()), std=tuple(stds.tolist()))


def load_float(
    path: str | os.PathLike[str],
    *,
    order: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: int | None = None,
    labels: tuple[str, ...] = (),
    comparison: Comparison | None = Comparison(),
) -> Network:
    """Return the float network of an ONNX file.

    An ONNX file does not say how its input is made.  Unless told, graphs written by PyTorch get
    torchvision's preparation (RGB, its means and deviations), others Caffe's (BGR less 104, 117,
    123); one-channel inputs get pixels divided by 255.

    Parameters
    ----------
    path : path
    order : str, optional
        ``"RGB"``, ``"BGR"`` or ``"L"``.
    mean, std : tuples of float, optional
        One for each channel, in pixel units (0 to 255).
    resize : int, optional
        Shorter side before the centre crop; 8/7 of the input's unless told (256 for 224 and 227).
    labels : tuple of str, optional
        One for each class; ImageNet's for 1000 classes.
    comparison : Comparison, optional
        How the network is compared with what an outside judge computes from the file; None: not.

    Raises
    ------
    ValueError
        If the file cannot be read or holds what is not supported; all such nodes are listed with
        name and reason.
    ImportMismatch
        If the network computes something else than the file says.
    """
    return load_float_ends(
        path,
        order=order,
        mean=mean,
        std=std,
        resize=resize,
        labels=labels,
        comparison=comparison,
    )[0]


def load_float_ends(
    path: str | os.PathLike[str],
    *,
    order: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: int | None = None,
    labels: tuple[str, ...] = (),
    comparison: Comparison | None = Comparison(),
) -> tuple[Network, Ends]:
    """Return what `load_float` does, and the file's input and output.

    Raises
    ------
    ValueError, ImportMismatch
        As `load_float`.
    """
    graph = read_graph(path)
    if graph.input_type != TensorProto.FLOAT:
        raise ValueError(f"{path}: input {graph.input}: a float network's must be float32")
    traversal = Traversal(graph, FLOAT_NODES)
    value = traversal.run()
    if not traversal.layers:
        raise ValueError(f"{path}: it has no layers")
    spec = _preparation(graph, order, mean, std, resize)
    network = Network(
        name=Path(path).stem,
        input=_prepared(spec, traversal),
        layers=tuple(traversal.layers.values()),
        labels=labels,
        trained=True,
        source=str(path),
    )
    ends = Ends(
        input=graph.input,
        output=graph.output,
        spec=spec,
        ended=value.ended,
        shape=value.shape,
    )
    return _compared(_checked(network), graph, traversal, spec, comparison), ends


def load(path: str | os.PathLike[str], **preparation: Any) -> Network:
    """Return the network of an ONNX file, float or quantised as the file is.

    Parameters
    ----------
    path : path
    preparation
        `order`, `mean`, `std`, `resize`, `labels` and `comparison`, as for `load_float`.

    Raises
    ------
    ValueError, ImportMismatch
        As `load_float`.
    """
    if any(node.op_type in QUANTISED_ONLY for node in read_graph(path).nodes):
        return load_quantised(path, **preparation)[0]
    return load_float(path, **preparation)


def load_quantised(
    path: str | os.PathLike[str],
    *,
    order: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: int | None = None,
    labels: tuple[str, ...] = (),
    comparison: Comparison | None = Comparison(),
) -> tuple[Network, dict[str, str]]:
    """Return the quantised network of an ONNX file with its own scales.

    The parameters are those of `load_float`; an input of integers takes pixels as they are.

    Returns
    -------
    network : Network
    tensors : dict of str
        The tensor of the file that holds a layer's codes, by layer name: int8 ones are 128 less
        than ours.

    Raises
    ------
    ValueError, ImportMismatch
        As `load_float`.
    """
    graph = read_graph(path)
    traversal = QuantisedTraversal(graph, QUANTISED_NODES)
    traversal.run()
    if INPUT not in traversal.codes or not traversal.layers:
        raise ValueError(f"{path}: its input is never quantised")
    codes = traversal.codes[INPUT]
    if graph.input_type == TensorProto.FLOAT:
        given = _preparation(graph, order, mean, std, resize)
        spec = replace(_prepared(given, traversal), scale=codes.scale, zero=codes.zero)
    else:
        channels = graph.shape[0]
        given = spec = _preparation(graph, order, (0.0,) * channels, (1.0,) * channels, resize)
    last = list(traversal.layers.values())[-1]
    known = [INPUT, *traversal.layers]
    if isinstance(last, QFc) and not last.relu:
        known.remove(last.name)
    network = Network(
        name=Path(path).stem,
        input=spec,
        layers=tuple(traversal.layers.values()),
        labels=labels,
        trained=True,
        source=str(path),
        scales={name: traversal.codes[name].scale for name in known},
        zeros={
            name: traversal.codes[name].zero
            for name in known
            if traversal.codes[name].zero and name != INPUT
        },
    )
    tensors = {name: tensor for name, tensor in traversal.tensors.items() if name != INPUT}
    return _compared(_checked(network), graph, traversal, given, comparison), tensors


def _compared(
    network: Network,
    graph: Graph,
    traversal: Traversal,
    spec: InputSpec,
    comparison: Comparison | None,
) -> Network:
    """The network with what the comparison with its file found."""
    if comparison is None:
        return replace(network, check=UNVERIFIED)
    imported = Imported(
        graph=graph,
        network=network,
        spec=spec,
        tensors=traversal.located(),
        values=traversal.values,
    )
    check = check_import(imported, comparison.pictures(network.input), comparison.progress)
    return replace(network, check=check)


def _checked(network: Network) -> Network:
    """The network with labels, if its layers fit each other."""
    try:
        infer_shapes(network)
    except ValueError as error:
        raise ValueError(f"{network.source}: {error}") from None
    return network if network.labels else replace(network, labels=_class_labels(network))
