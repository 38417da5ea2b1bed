"""An imported network compared with its file, layer by layer, on several inputs.

`models.onnx_io.judge` runs the file.  Each layer here gets the maps that the judge computed for its
inputs, so that differences do not add up and the first wrong layer is found; what follows from it
is compared all the same in the next steps, down to the file's output, its shape and its Softmax.

============  =====================================================================
file          what a layer's map may differ by
============  =====================================================================
quantised     1 step
float         1e-4 of the map's largest value, or what summing in float32 may cost
============  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.models.golden.ops import input_codes, normalise, run_layer, softmax
from penstock.models.graph.graph import (
    INPUT,
    Conv,
    Fc,
    InputSpec,
    Layer,
    Network,
    QFc,
    infer_shapes,
)
from penstock.models.graph.import_check import ImportCheck, ImportMismatch
from penstock.models.onnx_io.judge import Judge, JudgeError
from penstock.models.onnx_io.read import Graph
from penstock.models.onnx_io.values import NO_PAD, Value

__all__ = ["Imported", "check_import"]

Array = NDArray[Any]
Pixels = NDArray[np.uint8]

# Float32 keeps 24 bits; sums of some thousand products lose a few of them.
_RELATIVE = 1e-4
_OF_SUMMANDS = 1e-5

_PROBABILITIES = {"Softmax": softmax, "LogSoftmax": lambda logits: np.log(softmax(logits))}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network, and where its maps are in the file.

    Parameters
    ----------
    graph : Graph
    network : Network
    spec : InputSpec
        How the file's input is made from pixels: `network.input` has the arithmetic at the
        beginning of the graph in it.
    tensors : dict of str
        The file's tensor that holds a layer's map, by layer name; none for a layer whose map is in
        no tensor.
    values : dict of Value
        What the file's tensors were taken for, by tensor name.
    """

    graph: Graph
    network: Network
    spec: InputSpec
    tensors: dict[str, str]
    values: dict[str, Value]


def check_import(
    imported: Imported,
    pictures: Sequence[Pixels] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> ImportCheck:
    """Compare a network with its file on random inputs and on `pictures`.

    Parameters
    ----------
    imported : Imported
    pictures : sequence of uint8 arrays, of the network's input shape
        Beside the random ones.
    progress : callable
        Called with what happens now.

    Raises
    ------
    ImportMismatch
        If a map differs; the message names the node, the position and both values.
    """
    return _Comparison(imported).run([*_noise(imported.network.input), *pictures], progress)


def _noise(spec: InputSpec) -> list[Pixels]:
    """All codes, and a picture of little contrast, which does not saturate."""
    generator = np.random.default_rng(0)
    spans = ((0, 256), (96, 160))
    return [generator.integers(low, high, spec.shape).astype(np.uint8) for low, high in spans]


class _Comparison:
    """One file, loaded by the judge, and the largest difference so far."""

    def __init__(self, imported: Imported) -> None:
        self._graph, self._network = imported.graph, imported.network
        self._spec, self._tensors, self._values = imported.spec, imported.tensors, imported.values
        self._quantised = bool(self._network.scales)
        self._shapes = infer_shapes(self._network)
        self._maker = {name: node for node in self._graph.nodes for name in node.output}
        self._last = self._network.layers[-1]
        self._largest = 0.0
        self._maps = 0
        self._before = self._before_softmax()
        wanted = {*self._tensors.values(), self._before[0]} - set(self._graph.constants)
        wanted |= {name for name, value in self._values.items() if value.layer}
        wanted &= {self._graph.output, *(n for node in self._graph.nodes for n in node.output)}
        try:
            self._judge = Judge(self._graph, sorted(wanted))
        except JudgeError as error:
            raise self._not_run(error) from None

    def _not_run(self, error: JudgeError) -> ImportMismatch:
        return ImportMismatch(
            f"{self._graph.path}: the outside judge cannot run it: {error}; --no-verify imports it "
            "without a comparison"
        )

    def run(self, inputs: Sequence[Pixels], progress: Callable[[str], None]) -> ImportCheck:
        for index, pixels in enumerate(inputs):
            progress(f"comparing with the file, input {index + 1} of {len(inputs)}")
            self._maps = 0
            # What overflows in the file overflows here: the comparison says where they differ.
            with np.errstate(over="ignore", invalid="ignore"):
                self._compare(pixels)
        return ImportCheck(
            judge=self._judge.name,
            inputs=len(inputs),
            maps=self._maps,
            largest=self._largest,
            unit="steps" if self._quantised else "relative",
        )

    # --- one input

    def _compare(self, pixels: Pixels) -> None:
        try:
            found = self._judge.run({self._graph.input: self._fed(pixels)})
        except JudgeError as error:
            raise self._not_run(error) from None
        self._check_shapes(found)
        own = self._network.input
        maps = {INPUT: input_codes(own, pixels) if self._quantised else normalise(own, pixels)}
        self._observe(INPUT, maps, found, None, [])
        for layer in self._network.layers:
            given = [maps[name] for name in layer.inputs]
            maps[layer.name] = run_layer(layer, *given)
            self._observe(layer.name, maps, found, layer, given)
        self._check_output(maps[self._last.name], found)

    def _fed(self, pixels: Pixels) -> Array:
        """The file's input tensor (1, channels, height, width)."""
        outward = pixels.transpose(2, 0, 1)[None]
        if self._graph.input_type == TensorProto.UINT8:
            return np.ascontiguousarray(outward)
        if self._graph.input_type == TensorProto.INT8:
            return (outward.astype(np.int16) - 128).astype(np.int8)
        return np.ascontiguousarray(normalise(self._spec, pixels).transpose(2, 0, 1)[None])

    def _check_shapes(self, found: dict[str, Array]) -> None:
        for name, value in self._values.items():
            if name not in found or value.shape is None or value.pad != NO_PAD:
                continue
            if found[name].shape != (1, *value.shape):
                raise self._mismatch(
                    name, f"is {_size(found[name].shape)}, not {_size((1, *value.shape))} as read"
                )

    def _observe(
        self,
        name: str,
        maps: dict[str, Array],
        found: dict[str, Array],
        layer: Layer | None,
        given: list[Array],
    ) -> None:
        """Compare a map with the judge's, and go on with the judge's."""
        tensor = self._tensors.get(name, "")
        logits = isinstance(layer, QFc) and not layer.relu
        if tensor not in found or logits:
            return
        height, width, channels = self._shapes[name]
        value = found[tensor]
        if value.size != height * width * channels:
            raise self._mismatch(tensor, f"is {_size(value.shape)}, not {channels} channels of "
                                 f"{height}x{width} as read")  # fmt: skip
        want = value.reshape(channels, height, width).transpose(1, 2, 0)
        if self._quantised:
            want = self._codes(name, want)
            self._within(tensor, maps[name], want, 1.0, "steps")
        else:
            allowed = _RELATIVE * _span(want)
            if isinstance(layer, Conv | Fc):
                allowed = max(allowed, _OF_SUMMANDS * _span(_summands(layer, given[0])))
            self._within(tensor, maps[name], want, allowed, "relative")
        maps[name] = want
        self._maps += 1

    def _codes(self, name: str, want: Array) -> Array:
        """The codes of a map as the device has them."""
        if want.dtype == np.int8:
            return (want.astype(np.int16) + 128).astype(np.uint8)
        if want.dtype == np.uint8:
            return want
        spec = self._network.input
        scale = spec.scale if name == INPUT else self._network.scales[name]
        zero = spec.zero if name == INPUT else self._network.zeros.get(name, 0)
        return np.clip(np.rint(want / np.float32(scale)) + zero, 0, 255).astype(np.uint8)

    # --- the file's output

    def _before_softmax(self) -> tuple[str, str]:
        """The tensor before the Softmax at the end, if there is one, and its kind."""
        name = self._graph.output
        while name in self._maker:
            node = self._maker[name]
            if node.op_type in _PROBABILITIES:
                return node.input[0], node.op_type
            if node.op_type != "Identity":
                break
            name = node.input[0]
        return self._graph.output, ""

    def _check_output(self, made: Array, found: dict[str, Array]) -> None:
        tensor, kind = self._before
        want = found[tensor].reshape(-1)
        got = made.transpose(2, 0, 1).reshape(-1)
        if want.size != got.size:
            raise self._mismatch(tensor, f"has {want.size} values, not {got.size} as read")
        step = self._steps()
        if want.dtype in (np.uint8, np.int8):
            self._within(tensor, got, self._codes(self._last.name, want), 1.0, "steps")
        elif self._quantised:
            logits = isinstance(self._last, QFc) and not self._last.relu
            zero = 0 if logits else self._network.zeros.get(self._last.name, 0)
            got = (got.astype(np.float64) - zero) * step
            # Logits are summed in float32 by the judge.
            allowed = _RELATIVE * _span(want) + step
            self._within(tensor, got, want, allowed, "steps", step)
        else:
            self._within(tensor, got, want, _RELATIVE * _span(want), "relative")
        self._maps += 1
        if kind:
            likely = np.moveaxis(_PROBABILITIES[kind](np.moveaxis(found[tensor], 1, -1)), -1, 1)
            likely, given = likely.reshape(-1), found[self._graph.output].reshape(-1)
            self._within(self._graph.output, likely, given, _RELATIVE * _span(given), "")

    def _steps(self) -> Any:
        """What a step of the last map is worth."""
        if isinstance(self._last, QFc) and not self._last.relu:
            return self._last.out_scale
        return self._network.scales.get(self._last.name, 1.0)

    # --- verdict

    def _within(
        self, tensor: str, got: Array, want: Array, allowed: Any, unit: str, step: Any = 1.0
    ) -> None:
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        far = np.where(got == want, 0.0, np.abs(got - want))
        far = np.where(np.isnan(far), np.inf, far)
        bad = far > allowed
        if bad.any():
            place = np.unravel_index(np.argmax(np.where(bad, far, -1)), far.shape)
            where = f"row {place[0]}, column {place[1]}, channel {place[2]}"
            where = where if len(place) == 3 else f"value {place[0]}"
            raise self._mismatch(
                tensor,
                f"differs in {int(bad.sum())} of {far.size} values; {where}: {want[place]:g} "
                f"in the file, {got[place]:g} here",
            )
        if unit == "relative":
            far = far / _span(want)
        if unit:
            self._largest = max(self._largest, float((far / step).max(initial=0)))

    def _mismatch(self, tensor: str, text: str) -> ImportMismatch:
        node = self._maker.get(tensor)
        label = f"{node.op_type} {node.name or tensor}" if node is not None else f"input {tensor}"
        return ImportMismatch(
            f"{self._graph.path}: what was imported is not what {self._judge.name} computes: "
            f"{label} {text}"
        )


def _summands(layer: Conv | Fc, values: Array) -> Array:
    """The sums of the products' magnitudes."""
    size = replace(layer, weight=np.abs(layer.weight), bias=np.abs(layer.bias))
    return run_layer(size, np.abs(values))


def _span(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return max(float(finite.max(initial=0)), float(np.finfo(np.float32).tiny))


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one value"
