"""Inference: sessions on a device, layers on the CPU, several devices, resident networks.

Imports `host.devices`, `host.program` and `models`; it does not compile programs.
"""
