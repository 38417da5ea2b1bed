"""One file for each command (`compile` and `inspect` share one).

A command parses its options, calls other packages and prints; it has no logic of its own.
"""
