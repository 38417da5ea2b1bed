"""Faults that the importer had, to be put back one at a time: who finds them?"""

from __future__ import annotations

from scripts.import_fuzz.planted import Fault

__all__ = ["FAULTS"]

_QUANTISED = ("QuantizeLinear", "DequantizeLinear")

FAULTS = (
    Fault(
        "two quantisers of one map: one encoding is kept",
        "onnx_io.quantised_nodes",
        "        if alike(known, out):\n            traversal.values[node.output[0]] = replace(",
        "        if True:\n            traversal.values[node.output[0]] = replace(",
        _QUANTISED,
    ),
    Fault(
        "output_dtype INT8 without a zero point: taken as uint8",
        "onnx_io.quantised_nodes",
        "signed=out_type(node) == TensorProto.INT8",
        "signed=False",
        _QUANTISED,
    ),
    Fault(
        "int8 input: taken as uint8",
        "onnx_io.quantised_traversal",
        "self.signed = {graph.input} if graph.input_type == TensorProto.INT8 else set()",
        "self.signed = set()",
        (*_QUANTISED, "QLinearConv"),
    ),
    Fault(
        "zero points by output: not taken off",
        "onnx_io.quantised_weights",
        "    if zeros is not None:\n",
        "    if zeros is not None and zeros.size == 1:\n",
        ("DequantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm"),
    ),
    Fault(
        "an infinite bias: a field without meaning",
        "onnx_io.quantised_nodes",
        "    if not (np.abs(bias) < _LARGEST_BIAS).all():\n",
        "    bias = np.where(np.abs(bias) < _LARGEST_BIAS, bias, 0)\n    if False:\n",
        _QUANTISED,
    ),
    Fault(
        "Pad as the last node: dropped",
        "onnx_io.traversal",
        "        if value.pad != NO_PAD:\n            raise ValueError(",
        "        if False:\n            raise ValueError(",
        ("Pad",),
    ),
    Fault(
        "Pad merged into a pool with ceil_mode: windows counted without it",
        "onnx_io.values",
        "        size = tuple(size[i] + value.pad[i] + value.pad[i + 2] for i in (0, 1))\n",
        "        size = tuple(size)\n",
        ("Pad",),
    ),
    Fault(
        "a window of padding only: 0",
        "onnx_io.float_nodes",
        "    if any(geometry.pad[i] - least[i] >= kernel[i % 2] for i in range(4)):\n",
        "    if False:\n",
        ("MaxPool",),
    ),
    Fault(
        "an average after a merged Pad: divided without the padding",
        "onnx_io.float_nodes",
        "        count_pad = True\n",
        "",
        ("Pad",),
    ),
    Fault(
        "auto_pad on pools: a wrong size",
        "onnx_io.values",
        "    total = (-(-size // stride) - 1) * stride",
        "    total = (size // stride - 1) * stride",
        ("AveragePool", "Conv", "MaxPool", "QLinearAveragePool", "QLinearConv"),
    ),
    Fault(
        "auto_pad of an average over the whole map: taken as a global one",
        "onnx_io.float_nodes",
        " and not same\n",
        "\n",
        ("AveragePool",),
    ),
    Fault(
        "Reshape to [1, -1, 1, 1] ahead of a node that needs the map: ignored",
        "onnx_io.traversal",
        "        if not reshaped and made is not None",
        "        if False and made is not None",
        ("Reshape",),
    ),
    Fault(
        "Dropout in training mode: ignored",
        "onnx_io.float_nodes",
        '    if training and bool(traversal.constant(node, 2, "training mode").any()):\n',
        "    if False:\n",
        ("Dropout",),
    ),
    Fault(
        "Softmax over another axis: taken as over the channels",
        "onnx_io.float_nodes",
        "        if axis == 0 or int(np.prod(over)) != value.shape[0] or (",
        "        if False and (",
        ("Softmax", "LogSoftmax"),
    ),
    Fault(
        "quantise: the written output has the last layer's shape",
        "onnx_export.deploy_export",
        '["Reshape"] if ends.shape is not None and ends.shape != shape else []',
        "[]",
        (),
    ),
    Fault(
        "quantise: the written Softmax is over its default axis",
        "onnx_export.deploy_export",
        "last = graph.node(kind, [last], name, axis=1)",
        "last = graph.node(kind, [last], name)",
        ("Softmax", "LogSoftmax"),
    ),
    Fault(
        "quantise: a written pool that onnxruntime cannot load",
        "onnx_export.operator_export",
        "    if any(side >= layer.kernel for side in pad):\n",
        "    if False:\n",
        ("MaxPool",),
    ),
    Fault(
        "quantise: the input's zero point is left out of a written sum",
        "onnx_export.operator_export",
        "zero = network.input.zero if source == INPUT else network.zeros.get(source, 0)",
        "zero = network.zeros.get(source, 0)",
        ("Add", "Sum"),
    ),
    Fault(
        "a reader's zero point: taken for that of the input's QuantizeLinear",
        "onnx_io.quantised_traversal",
        "        if value.layer != INPUT or self.graph.input_type != TensorProto.FLOAT:\n",
        "        if True:\n",
        _QUANTISED,
    ),
    Fault(
        "MatMulInteger of int8 codes: taken as uint8",
        "onnx_io.logits",
        "lowest = 128 if self.signed else 0",
        "lowest = 0",
        ("MatMulInteger",),
    ),
    Fault(
        "MatMulInteger without a factor: scaled as its input",
        "onnx_io.logits",
        "steps = np.ones(len(self.bias)) if",
        "steps = np.full(len(self.bias), source.scale) if",
        ("MatMulInteger",),
    ),
    Fault(
        "scales of a convolution's weights by input: taken as by output",
        "onnx_io.quantised_nodes",
        "    weights = weights.by_output(0)\n    geometry",
        "    geometry",
        ("Conv",),
    ),
    Fault(
        "the sum of two quantised vectors: taken as a map",
        "onnx_io.quantised_traversal",
        " or {len(source.shape or ()) for source in sources} == {1}",
        "",
        ("Add", "QLinearAdd"),
    ),
)
