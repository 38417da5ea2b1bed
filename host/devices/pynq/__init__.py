"""The PYNQ boards: the back end, loading of overlays, and a simulated board.

The only place that imports `pynq`, inside functions.
"""
