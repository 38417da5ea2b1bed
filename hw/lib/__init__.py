"""Building blocks that know nothing of the accelerator: streams, FIFOs, buffers, delays, counters.

Imports Amaranth alone.  A block that needs a table of `models.spec` is not one of these.
"""
