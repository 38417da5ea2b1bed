"""A random ONNX graph in the making: nodes, and constants wherever files keep them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Case", "Draft", "Map", "case_of"]

Array = NDArray[Any]

# Where a case's file says how its input is made, so that the file alone can be replayed.
_KEY = "import_fuzz"


@dataclass(frozen=True)
class Map:
    """A tensor and its shape without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A graph to import.

    Parameters
    ----------
    model : onnx.ModelProto
    mean, std : tuples of float
        How the importer is told that the input is made from pixels.
    external : bool
        Whether constants lie in a file of their own.
    deploy : bool
        Whether the network is quantised and written as well.
    bent : bool
        Whether the graph is one that no runtime may have to run: it is read, not judged.
    seed : int
    """

    model: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    external: bool = False
    deploy: bool = False
    bent: bool = False
    seed: int = 0

    def with_model(self, model: Any) -> Case:
        """Return the same for another graph."""
        channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        return Case(
            model=model,
            mean=self.mean[:channels],
            std=self.std[:channels],
            external=self.external,
            deploy=self.deploy,
            bent=self.bent,
            seed=self.seed,
        )

    def stamped(self) -> Any:
        """Return the graph with what `case_of` needs in its metadata."""
        model = type(self.model)()
        model.CopyFrom(self.model)
        del model.metadata_props[:]
        settings = {
            "mean": self.mean,
            "std": self.std,
            "external": self.external,
            "deploy": self.deploy,
            "bent": self.bent,
            "seed": self.seed,
        }
        helper.set_model_props(model, {_KEY: json.dumps(settings)})
        return model


def case_of(model: Any) -> Case:
    """Return the case that `Case.stamped` wrote; of another file, one whose input is pixels/255."""
    found = {entry.key: entry.value for entry in model.metadata_props}
    if _KEY in found:
        settings = json.loads(found[_KEY])
        settings["mean"], settings["std"] = tuple(settings["mean"]), tuple(settings["std"])
        return Case(model=model, **settings)
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return Case(model=model, mean=(0.0,) * channels, std=(255.0,) * channels)


class Draft:
    """Nodes and constants, and the dice.

    Members
    -------
    dice : random.Random
    rng : numpy Generator
        For the values of constants.
    opset : int
    nodes : list of NodeProto
    """

    def __init__(self, seed: int, opsets: range) -> None:
        self.dice = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.opset = self.dice.choice(opsets)
        self.nodes: list[Any] = []
        self._initialisers: list[Any] = []
        self._known: dict[tuple[Any, ...], str] = {}
        self._count = 0
        self._named = not self.chance(0.1)

    # --- dice

    def chance(self, likely: float) -> bool:
        return self.dice.random() < likely

    def whole(self, least: int, most: int) -> int:
        return self.dice.randint(least, most)

    def pick(self, *choices: Any) -> Any:
        return self.dice.choice(choices)

    # --- constants

    def constant(self, value: Any, *, plain: bool = False) -> str:
        """Return the name of a constant; `plain`: as an initialiser, not behind other nodes."""
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key in self._known and self.chance(0.7):
            return self._known[key]
        name = f"c{self._count}"
        self._count += 1
        if plain or not self.chance(0.15):
            self._initialisers.append(_tensor(array, name, raw=not self.chance(0.1)))
        else:
            self._constant_node(array, name)
        self._known[key] = name
        return name

    def _constant_node(self, array: Array, name: str) -> None:
        attribute: dict[str, Any] = {"value": numpy_helper.from_array(array)}
        if self.opset >= 12 and array.ndim <= 1 and self.chance(0.5):
            kind = {"f4": "float", "i8": "int"}.get(array.dtype.str[1:])
            if kind is not None:
                plural = "s" if array.ndim else ""
                attribute = {f"value_{kind}{plural}": array.tolist()}
        self.nodes.append(helper.make_node("Constant", [], [name], **attribute))

    def weights(self, *shape: int, gain: float = 1.0) -> Array:
        """Return random weights that keep the size of values."""
        depth = max(int(np.prod(shape[1:])), 1)
        return (self.rng.normal(0, gain / np.sqrt(depth), shape)).astype(np.float32)

    def vector(self, count: int, low: float = -0.5, high: float = 0.5) -> Array:
        return self.rng.uniform(low, high, count).astype(np.float32)

    # --- nodes

    def node(
        self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node and return the name of its first output."""
        self._count += 1
        base = f"t{self._count}"
        made = [base, *(f"{base}_{i}" for i in range(1, outputs))]
        kept = {key: value for key, value in attributes.items() if value is not None}
        name = f"{kind}_{self._count}" if self._named else None
        self.nodes.append(helper.make_node(kind, list(inputs), made, name, domain=domain, **kept))
        return base

    def model(self, channels: int, size: tuple[int, int], output: str, **types: int) -> Any:
        """Return the model."""
        batch: Any = self.pick(1, 1, "N")
        shape = [batch, channels, *size]
        kind = types.get("input_type", TensorProto.FLOAT)
        inputs = [helper.make_tensor_value_info("data", kind, shape)]
        old = self.opset < 15 and self.chance(0.1)
        if old:
            # Before IR 4, initialisers were inputs as well.
            inputs += [
                helper.make_tensor_value_info(t.name, t.data_type, list(t.dims))
                for t in self._initialisers
            ]
        kind = types.get("output_type", TensorProto.FLOAT)
        graph = helper.make_graph(
            self.nodes,
            "fuzz",
            inputs,
            [helper.make_tensor_value_info(output, kind, None)],
            self._initialisers,
        )
        domains = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            domains.append(helper.make_opsetid("com.microsoft", 1))
        producer = self.pick("", "", "pytorch")
        model = helper.make_model(graph, opset_imports=domains, producer_name=producer)
        model.ir_version = 3 if old else 8 if self.opset < 21 else 10
        return model


def _tensor(array: Array, name: str, *, raw: bool) -> Any:
    if raw or array.dtype.kind == "b":
        return numpy_helper.from_array(array, name)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())
