"""Reports of runs: timeline, traces, benchmarks against other tools and publications.

Imports everything below `host.cli`; prints nothing.
"""
