"""Networks as ONNX files: float, quantised operator by operator, and quantised to deploy.

Imports `onnx`, `models.graph`, `models.golden` and `models.quant`; nothing about the accelerator
belongs here, and nothing that reads files.
"""
