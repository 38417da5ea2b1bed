"""Graphs with something changed at random: mostly invalid, and refused in words all the same.

onnxruntime may end the process on such files, so that it is not asked.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import AttributeProto, numpy_helper

from scripts.import_fuzz.draft import Case

__all__ = ["bent"]


def _attribute(dice: random.Random, model: Any) -> None:
    """An attribute left out, or with other numbers."""
    nodes = [node for node in model.graph.node if node.attribute and node.op_type != "Constant"]
    if not nodes:
        return
    node = dice.choice(nodes)
    index = dice.randrange(len(node.attribute))
    attribute = node.attribute[index]
    way = dice.randrange(4)
    if way == 0:
        del node.attribute[index]
    elif attribute.type == AttributeProto.INT:
        attribute.i = dice.choice([-1, 0, 1, 2, 3, 4, -4, 40])
    elif attribute.type == AttributeProto.INTS and way == 1 and len(attribute.ints) > 0:
        attribute.ints[dice.randrange(len(attribute.ints))] = dice.choice([-1, 0, 1, 3, 40])
    elif attribute.type == AttributeProto.INTS:
        kept = list(attribute.ints)
        del attribute.ints[:]
        attribute.ints.extend(kept[:-1] if way == 2 else [*kept, 1])
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = dice.choice([0.0, -1.0, float("nan"), float("inf")])
    elif attribute.type == AttributeProto.STRING:
        attribute.s = dice.choice([b"", b"SAME", b"reflect", b"\xff"])


def _input(dice: random.Random, model: Any) -> None:
    """An input left out, or another tensor."""
    nodes = [node for node in model.graph.node if node.input]
    if not nodes:
        return
    node = dice.choice(nodes)
    place = dice.randrange(len(node.input))
    way = dice.randrange(4)
    if way == 0:
        del node.input[place]
    elif way == 1:
        node.input[place] = ""
    else:
        names = [name for other in model.graph.node for name in other.input]
        node.input[place] = dice.choice(names)


def _constant(dice: random.Random, model: Any) -> None:
    """A constant of another shape, type or size."""
    if not model.graph.initializer:
        return
    tensor = dice.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor)
    way = dice.randrange(6)
    if way == 0:
        array = array.reshape(-1)
    elif way == 1:
        array = array.reshape(1, *array.shape)
    elif way == 2 and array.ndim:
        array = array[:-1]
    elif way == 3:
        kinds = ["f4", "f8", "i8", "i4", "i1", "u1", "?"]
        with np.errstate(invalid="ignore"):
            array = array.astype(dice.choice(kinds))
    elif way == 4 and array.ndim:
        array = np.concatenate([array, array[:1]])
    elif array.size:
        array = array.copy()
        array.reshape(-1)[0] = dice.choice([0, 1, 2, 100])
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _operator(dice: random.Random, model: Any) -> None:
    """Another operator in a node's place, or another opset."""
    if dice.random() < 0.3:
        model.opset_import[0].version = dice.randrange(7, 25)
        return
    nodes = [node for node in model.graph.node if node.input]
    if not nodes:
        return
    first, second = dice.choice(nodes), dice.choice(nodes)
    first.op_type, first.domain = second.op_type, second.domain


def bent(case: Case) -> Case:
    """Return the case with one to three things changed."""
    dice = random.Random(f"bent {case.seed}")
    model = type(case.model)()
    model.CopyFrom(case.model)
    for _ in range(dice.randint(1, 3)):
        dice.choice([_attribute, _attribute, _input, _constant, _constant, _operator])(dice, model)
    return replace(case.with_model(model), bent=True)
