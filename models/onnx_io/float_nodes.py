"""Nodes of float ONNX graphs and the layers they become.

Batch normalisation is folded into the previous layer, padding into the next one, and ReLU is fused
into the layer before it.  Nodes that normalise the network's input become part of its preparation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    Lrn,
    MaxPool,
)
from penstock.models.onnx_io.traversal import Handler, Traversal
from penstock.models.onnx_io.values import NO_PAD, Unsupported, Value, reshaped, window

__all__ = ["FLOAT_NODES", "SHAPE_NODES"]

Attributes = dict[str, Any]
Array = NDArray[Any]


def _conv(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, padded=True)
    weight = traversal.weights(node, 1, "weight", 4)
    bias = np.zeros(len(weight), np.float32)
    if len(node.input) > 2 and node.input[2]:
        bias = traversal.weights(node, 2, "bias", 1)
    if bias.shape != (len(weight),) or not weight.size:
        raise Unsupported(f"weights {weight.shape} with a bias {bias.shape}")
    if value.pad != NO_PAD and value.fill != 0:
        raise Unsupported(f"padding of {value.fill:g} ahead of it")
    named = tuple(attributes.get("kernel_shape", weight.shape[2:]))
    if named != weight.shape[2:]:
        raise Unsupported(f"kernel_shape {named} with weights {weight.shape}")
    geometry = window(attributes, weight.shape[2:], value)
    layer = Conv(
        name=traversal.name("conv", weighted=True),
        inputs=(value.layer,),
        geometry=geometry,
        weight=weight,
        bias=bias,
        relu=False,
    )
    traversal.append(node, layer, value)


def _fc(traversal: Traversal, node: Any, value: Value, weight: Array, bias: Array) -> None:
    if value.shape is not None and value.shape != (weight.shape[1],):
        raise Unsupported(f"weights for {weight.shape[1]} inputs on an input of {value.shape}")
    if bias.shape != (len(weight),) or not weight.size:
        raise Unsupported(f"weights {weight.shape} with a bias {bias.shape}")
    layer = Fc(
        name=traversal.name("fc", weighted=True),
        inputs=(value.layer,),
        weight=np.ascontiguousarray(weight),
        bias=bias,
        relu=False,
    )
    traversal.append(node, layer, value, flat=True)


def _gemm(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    if attributes.get("transA", 0):
        raise Unsupported("transA")
    value = traversal.value(node)
    weight = traversal.weights(node, 1, "weight", 2)
    if not attributes.get("transB", 0):
        weight = weight.T
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if alpha != 1:
        weight = weight * np.float32(alpha)
    bias = np.zeros(len(weight), np.float32)
    if len(node.input) > 2 and node.input[2]:
        given = traversal.constant(node, 2, "bias").reshape(-1).astype(np.float32)
        if given.size not in (1, len(bias)):
            raise Unsupported(f"weights {weight.shape} with a bias {given.shape}")
        bias += given * np.float32(beta)
    _fc(traversal, node, value, weight, bias)


def _matmul(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    weight = traversal.weights(node, 1, "weight", 2).T
    _fc(traversal, node, value, weight, np.zeros(len(weight), np.float32))


def _channels(array: Array, count: int) -> Array | None:
    """A constant as one number for each channel of (N, C, H, W), if it is that."""
    if array.size == 1:
        return np.full(count, float(array.reshape(-1)[0]))
    if array.size == count and array.ndim >= 3 and array.shape[array.ndim - 3] == count:
        return np.asarray(array.reshape(-1), np.float64)
    return None


def _prepare(traversal: Traversal, node: Any, value: Value, constant: Array, first: bool) -> None:
    """Arithmetic on the network's input; `first` says that the constant is the first operand."""
    number = _channels(constant, traversal.graph.shape[0])
    if number is None:
        raise Unsupported(f"a constant of shape {constant.shape} on the input")
    if not value.sole:
        raise Unsupported("the input it changes is read by other nodes too")
    if node.op_type == "Add":
        traversal.offset = traversal.offset + number
    elif node.op_type == "Mul":
        traversal.gain, traversal.offset = traversal.gain * number, traversal.offset * number
    elif first:
        raise Unsupported("the input as its second operand")
    elif node.op_type == "Sub":
        traversal.offset = traversal.offset - number
    else:
        traversal.gain, traversal.offset = traversal.gain / number, traversal.offset / number
    if not (np.isfinite(traversal.gain).all() and (traversal.gain > 0).all()):
        raise Unsupported("a factor of the input that is not positive")
    traversal.alias(node, value)


def _bias(traversal: Traversal, node: Any, value: Value, constant: Array) -> None:
    """A constant added to what Conv, Gemm or MatMul computed."""
    last = traversal.layers.get(value.layer)
    if not isinstance(last, Conv | Fc) or last.relu or not value.sole:
        raise Unsupported("only a constant bias right after MatMul, Gemm or Conv can be added")
    # A bias of a convolution must be spread along the channels, not along the columns.
    fits = constant.size == 1 or (
        constant.shape[constant.ndim - 3 :] == (len(last.bias), 1, 1)
        if isinstance(last, Conv)
        else constant.shape[-1] == constant.size
    )
    if not fits or constant.size not in (1, len(last.bias)):
        raise Unsupported(f"a constant of shape {constant.shape} is not a bias")
    bias = (last.bias + constant.reshape(-1)).astype(np.float32)
    traversal.layers[last.name] = replace(last, bias=bias)
    traversal.alias(node, value)


def _arithmetic(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    names = list(node.input)
    constants = [index for index, name in enumerate(names) if name in traversal.constants]
    if len(names) != 2 or len(constants) == 2:
        raise Unsupported(f"{len(names)} inputs")
    if constants:
        value = traversal.value(node, 1 - constants[0])
        constant = traversal.constants[names[constants[0]]]
        if value.layer == INPUT:
            _prepare(traversal, node, value, constant, constants[0] == 0)
        elif node.op_type == "Add":
            _bias(traversal, node, value, constant)
        else:
            raise Unsupported("only of the network's input")
        return
    if node.op_type not in ("Add", "Sum"):
        raise Unsupported("of two maps")
    first, second = traversal.value(node, 0), traversal.value(node, 1)
    if first.shape != second.shape and None not in (first.shape, second.shape):
        raise Unsupported(f"maps of {first.shape} and {second.shape}")
    layer = Add(name=traversal.name("add"), inputs=(first.layer, second.layer), relu=False)
    flat = first.shape is not None and len(first.shape) == 1
    traversal.append(node, layer, first, second, flat=flat)


def _batch_normalization(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    if attributes.get("training_mode", 0) or any(node.output[1:]):
        raise Unsupported("training mode")
    gain, offset, mean, variance = (
        traversal.weights(node, i, what, 1).astype(np.float64)
        for i, what in enumerate(("scale", "offset", "mean", "variance"), start=1)
    )
    gain = gain / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    if not gain.shape == offset.shape == mean.shape or not np.isfinite(gain).all():
        raise Unsupported("parameters that do not fit each other")
    last = traversal.layers.get(value.layer)
    if isinstance(last, Conv | Fc) and value.sole and not last.relu:
        if len(last.bias) != len(gain):
            raise Unsupported(f"{len(gain)} factors for {len(last.bias)} channels")
        factor = gain.reshape(-1, *[1] * (last.weight.ndim - 1))
        traversal.layers[last.name] = replace(
            last,
            weight=(last.weight * factor).astype(np.float32),
            bias=((last.bias - mean) * gain + offset).astype(np.float32),
        )
        traversal.alias(node, value)
        return
    layer = Conv(
        name=traversal.name("scale", weighted=True),
        inputs=(value.layer,),
        geometry=ConvGeometry(kernel=(1, 1), groups=len(gain)),
        weight=gain.astype(np.float32).reshape(-1, 1, 1, 1),
        bias=(offset - mean * gain).astype(np.float32),
        relu=False,
    )
    traversal.append(node, layer, value)


def _relu(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    traversal.rectify(value)
    traversal.alias(node, value)


def _clip(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    least, most = attributes.get("min", -np.inf), attributes.get("max", np.inf)
    if len(node.input) > 1 and node.input[1]:
        least = float(traversal.constant(node, 1, "minimum").reshape(-1)[0])
    if len(node.input) > 2 and node.input[2]:
        most = float(traversal.constant(node, 2, "maximum").reshape(-1)[0])
    if least != 0 or most < 3e38:
        raise Unsupported(f"to {least:g} .. {most:g}: only to 0 and above, as ReLU")
    _relu(traversal, node, attributes)


def _lrn(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    layer = Lrn(
        name=traversal.name("norm"),
        inputs=(value.layer,),
        size=int(attributes["size"]),
        # Attributes are float32: 1e-4 is read with additional digits.
        alpha=float(f"{attributes.get('alpha', 1e-4):.7g}"),
        beta=float(f"{attributes.get('beta', 0.75):.7g}"),
        k=float(f"{attributes.get('bias', 1.0):.7g}"),
    )
    traversal.append(node, layer, value)


def _max_pool(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, padded=True)
    # Zeros never win where nothing is negative.
    neutral = value.fill == -np.inf or (value.fill == 0 and traversal.rectified(value.layer))
    if value.pad != NO_PAD and not neutral:
        raise Unsupported(f"padding of {value.fill:g} ahead of it")
    geometry = window(attributes, tuple(attributes["kernel_shape"]), value, ceil=True)
    kernel, stride = geometry.kernel, geometry.stride
    # Padding with zeros by a node of its own makes windows of nothing else zero.
    least = [0] * 4 if value.fill else value.pad
    if any(geometry.pad[i] - least[i] >= kernel[i % 2] for i in range(4)):
        raise Unsupported(f"a window of padding only: pads {list(geometry.pad)}")
    if kernel[0] != kernel[1] or stride[0] != stride[1]:
        raise Unsupported(f"a window of {list(kernel)} with strides {list(stride)} is not square")
    if len(node.output) > 1 and node.output[1]:
        raise Unsupported("indices as a second output")
    layer = MaxPool(
        name=traversal.name("pool"),
        inputs=(value.layer,),
        kernel=kernel[0],
        stride=stride[0],
        pad=geometry.pad,
    )
    traversal.append(node, layer, value)


def _average_pool(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, padded=True)
    kernel = tuple(attributes["kernel_shape"])
    plain = value.pad == NO_PAD and not any(attributes.get("pads", []))
    if {*kernel, *attributes.get("strides", [1])} == {1} and plain:
        # What adaptive average pooling becomes when the map already has the size it makes.
        traversal.alias(node, value)
        return
    if value.shape is not None and kernel == value.shape[1:] and plain:
        _global_average(traversal, node, attributes)
        return
    count_pad = bool(attributes.get("count_include_pad", 0))
    geometry = window(attributes, kernel, value, ceil=True)
    if value.pad != NO_PAD:
        if value.fill != 0 or (geometry.pad != value.pad and not count_pad):
            raise Unsupported("padding ahead of it")
        count_pad = True
    without = {name: given for name, given in attributes.items() if name != "ceil_mode"}
    if count_pad and geometry != window(without, kernel, value, ceil=True):
        raise Unsupported("ceil_mode with padding that counts")
    layer = AveragePool(
        name=traversal.name("pool"),
        inputs=(value.layer,),
        kernel=geometry.kernel,
        stride=geometry.stride,
        pad=geometry.pad,
        count_pad=count_pad,
    )
    traversal.append(node, layer, value)


def _global_average(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    if value.shape is not None and len(value.shape) != 3:
        raise Unsupported("its input is flat")
    layer = GlobalAveragePool(name=traversal.name("pool"), inputs=(value.layer,))
    traversal.append(node, layer, value, flat=not attributes.get("keepdims", 1))


def _reduce_mean(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    axes = list(attributes.get("axes", []))
    if len(node.input) > 1 and node.input[1]:
        axes = traversal.constant(node, 1, "axes").reshape(-1).tolist()
    if sorted(axis % 4 for axis in axes) != [2, 3]:
        raise Unsupported(f"over the axes {axes}: only over rows and columns")
    _global_average(traversal, node, attributes)


def _concat(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    values = [traversal.value(node, index) for index in range(len(node.input))]
    dims = {len(value.shape) for value in values if value.shape is not None}
    if len(dims) > 1 or attributes.get("axis") not in (1, -max(dims, default=3)):
        raise Unsupported(f"along axis {attributes.get('axis')}: only along the channels")
    flat = dims == {1}
    if flat and any(traversal.spatial(value.layer) for value in values):
        raise Unsupported("of flattened maps")
    layer = Concat(name=traversal.name("concat"), inputs=tuple(value.layer for value in values))
    traversal.append(node, layer, *values, flat=flat)


def _pad(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node)
    pads = list(attributes.get("pads", []))
    fill = float(attributes.get("value", 0.0))
    if len(node.input) > 1 and node.input[1]:
        pads = traversal.constant(node, 1, "pads").reshape(-1).tolist()
    if len(node.input) > 2 and node.input[2]:
        fill = float(traversal.constant(node, 2, "value").reshape(-1)[0])
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant" or (len(node.input) > 3 and node.input[3]):
        raise Unsupported(f"mode {mode}" if mode != "constant" else "axes")
    if len(pads) != 8 or min(pads) < 0 or any(pads[i] for i in (0, 1, 4, 5)):
        raise Unsupported(f"pads {pads}: only rows and columns, outwards")
    traversal.alias(node, value, pad=(pads[2], pads[3], pads[6], pads[7]), fill=fill)


def _flatten(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    axis = attributes.get("axis", 1)
    dims = 4 if value.shape is None else len(value.shape) + 1
    if axis not in (1, 1 - dims):
        raise Unsupported(f"axis {axis}")
    shape = None if value.shape is None else (int(np.prod(value.shape)),)
    traversal.alias(node, value, shape=shape)


def _reshape(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    target = [int(size) for size in traversal.constant(node, 1, "shape").reshape(-1)]
    shape = None if value.shape is None else reshaped(value.shape, target)
    traversal.alias(node, value, shape=shape)


def _squeeze(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    axes = list(attributes.get("axes", []))
    if len(node.input) > 1 and node.input[1]:
        axes = traversal.constant(node, 1, "axes").reshape(-1).tolist()
    if value.shape is not None:
        if sorted(axis % 4 for axis in axes) != [2, 3] or value.shape[1:] != (1, 1):
            raise Unsupported(f"axes {axes} of {value.shape}")
        value = replace(value, shape=value.shape[:1])
    traversal.alias(node, value)


def _shape(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    if value.shape is None or attributes:
        raise Unsupported("of a map of unknown shape" if value.shape is None else "of some axes")
    traversal.constants[node.output[0]] = np.array([1, *value.shape], np.int64)


def _same(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    """The same values under another name."""
    traversal.alias(node, traversal.value(node, padded=True, reshaped=True))


def _dropout(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    """Nothing is dropped in inference."""
    training = len(node.input) > 2 and node.input[2]
    if training and bool(traversal.constant(node, 2, "training mode").any()):
        raise Unsupported("training mode")
    if any(traversal.graph.uses[name] for name in node.output[1:]):
        raise Unsupported("its mask is used")
    _same(traversal, node, attributes)


def _softmax(traversal: Traversal, node: Any, attributes: Attributes) -> None:
    value = traversal.value(node, reshaped=True)
    if value.shape is not None:
        # Up to opset 12, all axes from the named one on are one axis.
        flattens = traversal.graph.opset < 13
        axis = attributes.get("axis", 1 if flattens else -1) % (len(value.shape) + 1)
        over = value.shape[axis - 1 :] if flattens else value.shape[axis - 1 : axis]
        if axis == 0 or int(np.prod(over)) != value.shape[0] or (axis != 1 and value.shape[0] != 1):
            raise Unsupported(f"over axis {axis} of {value.shape}: only over the channels")
    # The classes' order is the logits'; the runtime computes probabilities itself.
    traversal.alias(node, value, ended=node.op_type)


# Nodes that only give a map another name or shape.
SHAPE_NODES: dict[str, Handler] = {
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Identity": _same,
    "Reshape": _reshape,
    "Shape": _shape,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
}

FLOAT_NODES: dict[str, Handler] = {
    **SHAPE_NODES,
    "Add": _arithmetic,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "LRN": _lrn,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _arithmetic,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Sub": _arithmetic,
    "Sum": _arithmetic,
}
