"""Images through a device: sessions, the layers on the CPU, several devices, resident networks.

Imports `host.devices`, `host.program` and `models`; programs come in from outside.
"""
