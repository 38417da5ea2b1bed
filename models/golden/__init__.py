"""The golden model: what every layer must compute, bit for bit.

`fixed` is the exact integer arithmetic that hardware and functional device are tested against.
Imports `models.graph` and NumPy; neither quantisation nor hardware details belong here.
"""
