"""From layers to hardware layers: fusion, packing of the input, average pooling as convolution.

Imports `host.program` and `models`.  Tile sizes and costs do not appear here.
"""
