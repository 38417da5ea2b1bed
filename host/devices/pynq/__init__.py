"""The PYNQ boards: the back end, loading an overlay, and the same board simulated.

The only place that imports `pynq`, inside functions.
"""
