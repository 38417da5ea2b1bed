"""From layers to hardware layers: which are fused, how inputs are packed, averages as convolutions.

Imports `host.program` and `models`.  Sizes of tiles and costs do not appear here.
"""
