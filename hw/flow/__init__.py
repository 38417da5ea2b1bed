"""From a board's name to its bitstream: synthesis, place and route, checks, report."""
