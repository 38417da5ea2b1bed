"""From hardware layers to descriptors: tiles, buffers, waits, the stream of weights.

Imports `host.compiler.lowering`, `host.program` and `host.timing`.
"""
