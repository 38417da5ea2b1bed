"""From hardware layers to descriptors: tiles, buffers, waits, the weight stream.

Imports `host.compiler.lowering`, `host.program` and `host.timing`.
"""
