"""ONNX files as networks, float and quantised, each compared with its file by an outside judge.

Imports `onnx`, `models.onnx_export` for what it writes into files, `models.graph`, `models.golden`
and `models.quant`; nothing about the accelerator belongs here.
"""
