"""One file for each command (`compile` and `inspect` share one).

A command parses its options, calls what does the work, and prints; no logic of its own.
"""
