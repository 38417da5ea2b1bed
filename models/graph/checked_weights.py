"""Shared by the builders of published networks: checks of weights by name and of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.data.labels import class_labels

__all__ = ["checked", "checked_labels", "placeholders"]

Shapes = Mapping[str, tuple[int, ...]]


def checked(
    network: str, weights: Mapping[str, NDArray[Any]], shapes: Shapes
) -> dict[str, NDArray[np.float32]]:
    """Return the weights named in `shapes`, as float32.

    Raises
    ------
    ValueError
        If one is missing or has another shape; the message names network and weight.
    """
    arrays = {}
    for name, shape in shapes.items():
        if name not in weights:
            raise ValueError(f"{network}: weight {name} is missing")
        if weights[name].shape != shape:
            raise ValueError(
                f"{network}: weight {name} must have shape {shape}, not {weights[name].shape}"
            )
        arrays[name] = np.asarray(weights[name], np.float32)
    return arrays


def checked_labels(network: str, labels: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """Return the labels, or `models.data.labels.class_labels` if none are given.

    Raises
    ------
    ValueError
        If there is not one for each class.
    """
    if labels and len(labels) != classes:
        raise ValueError(f"{network}: {len(labels)} labels for {classes} classes")
    return labels or class_labels(classes)


def placeholders(shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """Return zeros of these shapes that take no memory; `models.networks.seeded` replaces them."""
    nothing = np.float32(0)
    return {name: np.broadcast_to(nothing, shape) for name, shape in shapes.items()}
