"""ONNX files in and out: float and quantised graphs to networks, and networks to ONNX.

The only place that imports `onnx`.  Imports `models.graph`, `models.golden` and `models.quant`;
nothing about the accelerator belongs here.
"""
