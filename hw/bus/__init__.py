"""AXI: signatures, the DMA engines, and the bridges to a Zynq's AXI3 ports.

Imports `hw.lib`.  What is moved, and why, is the engines' business.
"""
