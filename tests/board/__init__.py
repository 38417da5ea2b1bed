"""Tests of what needs the pynq package: `make test-board` runs them, on a board's software."""
