"""Tests that need the pynq package: `make test-board` runs them, with a board's software."""
