"""Exploring arches: what a sweep of them costs in cycles, bytes and cells, and which are worth it.

Predictions are the compiler's cost model's; cells come from formulas held against syntheses.  It
prints nothing and opens no device.
"""
