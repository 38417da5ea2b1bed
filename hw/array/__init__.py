"""The systolic array: processing elements, weight loading, partial sums.

`systolic` is the plain form, `packed` the one for DSPs with two products each.  Imports `hw.lib`;
descriptors and memory belong to the engines.
"""
